"""What `helm test` runs in Weft's image: the control plane is ready, and its webhooks have the right certificate."""

import socket
import ssl
import sys
import urllib.request
from datetime import UTC, datetime

from cryptography import x509

host = sys.argv[1]

with urllib.request.urlopen(f"http://{host}:15014/ready", timeout=10) as answer:
    print(f"/ready: {answer.status}")

# The root is in no place that this pod may read, so the certificate is looked at instead of trusted.
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
with (
    socket.create_connection((host, 443), timeout=10) as plain,
    context.wrap_socket(plain, server_hostname=host) as tls,
):
    certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
names = alternatives.get_values_for_type(x509.DNSName)
print(f"webhook certificate: {', '.join(names)}; until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
if host not in names:
    sys.exit(f"the certificate is not for {host}")
if not certificate.not_valid_before_utc <= datetime.now(UTC) < certificate.not_valid_after_utc:
    sys.exit("the certificate is not valid now")
