"""Every compiled function of the project: arrays in, arrays out."""
