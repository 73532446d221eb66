"""The façade: the only room that joins store and catalog."""
