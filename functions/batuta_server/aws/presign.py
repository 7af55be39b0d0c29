"""URLs of S3 that carry their signature, so that whoever has one may do that one thing until it ends.

Follows "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" of the S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import quote, urlencode, urlsplit

from batuta_server.aws.signature import Credentials, signing_key


def presigned_url(credentials: Credentials, region: str, url: str, method: str, expires_s: int, epoch_s: float) -> str:
    """``url`` signed for ``method``. It ends with the credentials at the latest, which Lambda renews every few hours."""
    parts = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_s))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires_s),
        **({"X-Amz-Security-Token": credentials.session_token} if credentials.session_token else {}),
        "X-Amz-SignedHeaders": "host",
    }
    encoded = urlencode(query, quote_via=quote, safe="-_.~")  # in the order of the names, as it must be
    canonical = f"{method}\n{parts.path}\n{encoded}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = signing_key(credentials.secret_access_key, stamp[:8], region, "s3")
    return f"{url}?{encoded}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"


def object_url(endpoint: str, bucket: str, key: str) -> str:
    """On AWS the bucket is a part of the host's name; an emulator has but one host. ``key`` holds nothing that must be encoded."""
    parts = urlsplit(endpoint)
    if parts.scheme == "http":
        return f"{endpoint.rstrip('/')}/{bucket}/{key}"
    return f"https://{bucket}.{parts.netloc}/{key}"
