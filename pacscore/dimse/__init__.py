"""The DICOM network: a door to the archive for modalities, workstations and other archives.

It is thin: what is stored, found and fetched is decided by ``pacscore.archive``, what is passed on by
``pacscore.flow``. Negotiation, association control and message classes are pynetdicom's (the extra ``network``); the
path of the pixel data beneath them is ours (``data_path``), with the measured gain in ``docs/decisions/0006``.
"""
