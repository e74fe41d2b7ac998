"""The error of all settings, and how it names what is wrong."""

from pydantic import ValidationError


class SettingsError(Exception):
    """The settings cannot be used. The text says which field of which file is wrong, and why."""


def wrong_fields(error: ValidationError, whole: str) -> str:
    """Each wrong field and what is wrong with it; `whole` names what has no field.

    The given values are not shown, since they may be secrets.
    """
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or whole}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False)
    )


def wrong_variables(error: ValidationError, prefix: str) -> SettingsError:
    """The same for settings from environment variables, whose names start with `prefix`."""
    return SettingsError(
        "; ".join(
            f"{prefix}{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}"
            for e in error.errors(include_url=False, include_input=False)
        )
    )
