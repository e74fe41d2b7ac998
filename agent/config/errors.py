"""The error that all settings raise, and the sentences that say which field is wrong."""

from pydantic import ValidationError


class SettingsError(Exception):
    """The settings cannot be used; the text says which field or variable is wrong, and why."""


def wrong_fields(error: ValidationError, whole: str) -> str:
    """Returns each wrong field with what is wrong, separated by semicolons.

    `whole` is the name for an error of the value as a whole. The values themselves are left out,
    since they may be secrets.
    """
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or whole}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False)
    )


def wrong_variables(error: ValidationError, prefix: str) -> SettingsError:
    """Returns the error that names each wrong environment variable; `prefix` starts their names."""
    return SettingsError(
        "; ".join(
            f"{prefix}{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}"
            for e in error.errors(include_url=False, include_input=False)
        )
    )
