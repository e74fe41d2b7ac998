"""The error of all settings."""


class SettingsError(Exception):
    """The settings cannot be used; the text says which field of which file, and what it should
    be.
    """
