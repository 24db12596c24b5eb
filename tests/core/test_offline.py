"""Nothing but one command asks the hub."""

from __future__ import annotations

from octod.core.offline import asking_environ, stay_offline


def test_everything_stays_offline_but_what_asks() -> None:
    """The switch that octod set is taken off for the one process that asks; telemetry stays off."""
    environ = {"HOME": "/h"}
    stay_offline(environ)
    stay_offline(environ)
    assert "1" == environ["HF_HUB_OFFLINE"]
    assert {"HOME": "/h", "HF_HUB_DISABLE_TELEMETRY": "1"} == asking_environ(environ)


def test_a_user_who_is_offline_stays_it() -> None:
    """HF_HUB_OFFLINE of the user's own is never taken off, nor another value replaced."""
    environ = {"HF_HUB_OFFLINE": "ON"}
    stay_offline(environ)
    assert "ON" == environ["HF_HUB_OFFLINE"]
    assert "ON" == asking_environ(environ)["HF_HUB_OFFLINE"]
