"""The owner hears of certificates and lists that end, in time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cem.config.sitefile import ProviderLink
from cem.provider_ways import CertificateWatch
from support.certificates import Authority


def test_what_ends_soon_is_a_warning_and_what_has_ended_an_alarm(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ven, callback = authority.issue("ven", days=(-1, 60)), authority.issue("callback", days=(-1, 400))
    link = ProviderLink(
        certificate_file=ven.certificate,
        callback_certificate_file=callback.certificate,
        crl_file=authority.revoke(days=(-1, 58)),
    )
    watch, now = CertificateWatch({"utility": link, "other": ProviderLink()}), datetime.now(UTC)

    def told(days: float) -> list[tuple[str, str]]:
        return [(trouble.id, trouble.severity) for trouble in watch.troubles(now + timedelta(days=days))]

    own, lists = "certificate.utility.ven.pem", "certificate.utility.revoked.pem"
    assert told(0) == []
    assert told(31) == [(own, "warning")]
    assert told(57) == [(own, "warning"), (lists, "warning")]
    assert told(59) == [(own, "warning"), (lists, "alarm")]
    assert told(61) == [(own, "alarm"), (lists, "alarm")]
    authority.issue("ven", days=(-1, 400))
    authority.revoke(days=(-1, 400))
    assert told(61) == []
    ven.certificate.write_text("none")  # told by whoever needs it
    assert told(61) == []
