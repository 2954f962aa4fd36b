"""What botocore raises, as errors of ours: the only place that knows its exceptions and the codes of AWS."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from dsenv.errors import ProviderError

# What to do when something is not allowed.
POLICY = "give your AWS user these permissions: dsenv doctor --policy aws"
# The zone, or the market, has none left of this type just now: another one may.
CAPACITY = frozenset({
    "InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity",
    "InsufficientCapacityOnHost", "InsufficientFreeAddressesInSubnet", "Unsupported", "UnfulfillableCapacity",
})  # fmt: skip
SPOT = frozenset({"MaxSpotInstanceCountExceeded", "SpotMaxPriceTooLow", "InsufficientSpotCapacity"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_WRONG = frozenset({
    "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch",
    "InvalidAccessKeyId", "InvalidToken", "MissingAuthenticationToken", "InvalidSignatureException",
})  # fmt: skip
DENIED = frozenset({
    "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation",
})  # fmt: skip
_THROTTLED = frozenset({
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown",
    "EC2ThrottledException", "RequestThrottled",
})  # fmt: skip
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
_SIGNED = _EXPIRED | _WRONG | _CLOCK | {"InvalidSignatureException", "AccessDenied"}  # where the time may be to blame
_SKEW_SECONDS = 240  # AWS accepts five minutes
QUOTAS = {
    "VcpuLimitExceeded": "the quota of processors for this kind of instance on demand (EC2, 'Running On-Demand')",
    "MaxSpotInstanceCountExceeded": "the quota of processors for spot instances (EC2, 'All Standard Spot')",
    "InstanceLimitExceeded": "the quota of running instances (EC2)",
    "VolumeLimitExceeded": "the quota of gp3 storage (EBS, 'Storage for General Purpose SSD (gp3)')",
    "SecurityGroupLimitExceeded": "the quota of security groups (VPC, 'VPC security groups per Region')",
    "ResourceLimitExceeded": "a quota of the account",
}
# What a setting names and AWS does not know: the setting, for the hint.
_UNKNOWN = {
    "InvalidInstanceType": "instance_type",
    "InvalidParameterCombination": "instance_type and image",
    "InvalidAMIID.NotFound": "image",
    "InvalidAMIID.Malformed": "image",
    "InvalidAMIID.Unavailable": "image",
    "InvalidSubnetID.NotFound": "subnet",
    "InvalidSubnetID.Malformed": "subnet",
    "InvalidKeyPair.NotFound": "key_pair",
    "InvalidGroup.NotFound": "security_group",
    "InvalidGroupId.Malformed": "security_group",
    "InvalidIamInstanceProfile": "instance_profile",
    "NoSuchEntity": "instance_profile",
}


class AwsError(ProviderError):
    """AWS said no. `code` is its own word for why."""

    def __init__(self, message: str, *, code: str, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.code = code

    @property
    def absent(self) -> bool:
        """Whether the thing that was asked about is not there."""
        return self.code.endswith((".NotFound", "NotFoundException")) or self.code == "ParameterNotFound"


@contextmanager
def translated(doing: str, region: str, profile: str = "") -> Iterator[None]:
    """Errors of botocore become ours. `doing` is what was tried, as in "cannot start the instance"."""
    from botocore import exceptions as theirs
    from botocore.parsers import ResponseParserError

    try:
        yield
    except theirs.ClientError as error:
        raise _refused(error, doing, region) from error
    except (theirs.HTTPClientError, theirs.ConnectionError) as error:
        raise _unreachable(error, doing, region) from error
    except theirs.BotoCoreError as error:
        code, why, hint = _of_configuration(error, profile)
        raise AwsError(f"{doing}: {why}", code=code, hint=hint) from error
    except (ResponseParserError, UnicodeDecodeError) as error:
        raise AwsError(
            f"{doing}: what answers in {region} is not AWS, or it is out of order",
            code="Garbage",
            hint="check the region's name, AWS_ENDPOINT_URL and the proxy, then repeat the command",
            detail=str(error)[:500],
        ) from error
    except ValueError as error:  # that is how an address that is none, or a number that is none, is told
        raise AwsError(f"{doing}: {error}", code="ValueError", hint=_LOOK) from error


_LOOK = "look at what is set: aws configure list, env | grep AWS_"


def _of_configuration(error: Exception, profile: str) -> tuple[str, str, str]:
    """Code, reason and hint for what is wrong on this machine."""
    from botocore import exceptions as theirs

    option = f" --profile {profile}" if profile else ""
    if isinstance(error, theirs.NoCredentialsError | theirs.PartialCredentialsError):
        return "NoCredentials", "there are no AWS credentials here", f"aws configure{option}"
    if isinstance(error, theirs.CredentialRetrievalError):
        return "NoCredentials", str(error).strip().rstrip(":"), _LOOK
    if isinstance(error, theirs.TokenRetrievalError | theirs.SSOError | theirs.UnauthorizedSSOTokenError):
        return "ExpiredToken", "the AWS login has expired", f"aws sso login{option}"
    if isinstance(error, theirs.ProfileNotFound):
        return "ProfileNotFound", str(error), "aws configure list-profiles, then set `profile` or AWS_PROFILE"
    if isinstance(error, theirs.NoRegionError):
        return "NoRegion", "no AWS region is set", 'set region = "eu-west-1" in dsenv.toml'
    if isinstance(error, theirs.InvalidRegionError):
        return "InvalidRegion", str(error), "change `region` in dsenv.toml, or AWS_DEFAULT_REGION"
    return type(error).__name__, str(error), _LOOK


def _unreachable(error: Exception, doing: str, region: str) -> AwsError:
    from botocore import exceptions as theirs

    why = f"AWS cannot be reached in {region}"
    hint = "check the network and the region's name, then repeat the command"
    if isinstance(error, theirs.ProxyConnectionError):
        why, hint = "the proxy does not let us through to AWS", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    elif isinstance(error, theirs.SSLError):
        why = "the certificate of what answers for AWS is not trusted here"
        hint = "if a proxy of yours is in between, set AWS_CA_BUNDLE to its certificate"
    elif isinstance(error, theirs.ReadTimeoutError):
        why = f"AWS does not answer in {region}"
    return AwsError(f"{doing}: {why}", code="Unreachable", hint=hint, detail=str(error))


def _clock_is_off(error: object) -> bool:
    """Whether this machine's clock and that of AWS, which dates its answers, are too far apart."""
    response = getattr(error, "response", {})
    said = str(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
    try:
        theirs = parsedate_to_datetime(said).timestamp()
    except ValueError:
        return False
    return abs(time.time() - theirs) > _SKEW_SECONDS


def _refused(error: object, doing: str, region: str) -> AwsError:
    response = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", "Unknown"))
    words = str(response.get("Error", {}).get("Message", "")).strip()
    message, hint = f"{doing}: {words or code}", _to_change(code)
    if code in _CLOCK or (code in _SIGNED and _clock_is_off(error)):
        now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        message = f"{doing}: AWS does not accept the time of this machine, {now}"
        hint = "set the clock: timedatectl set-ntp true"
    elif code in _EXPIRED:
        message, hint = f"{doing}: the AWS credentials have expired", "aws sso login (or renew them your way)"
    elif code in _WRONG:
        message, hint = f"{doing}: AWS does not accept the credentials in {region}", "aws sts get-caller-identity"
    elif code in DENIED:
        action = _action(error, words)
        message = f"{doing}: your AWS user may not call {action}"
        hint = POLICY
    elif code in _THROTTLED:
        message, hint = f"{doing}: AWS answers no more calls for the moment ({code})", "wait a minute, then repeat"
    elif code in QUOTAS:
        message = f"{doing}: {QUOTAS[code]} of {region} is used up"
        hint = "take a smaller `size` or another `region`; what is in use, and how to ask for more: dsenv doctor"
    elif code == "OptInRequired":
        message, hint = f"{doing}: the region {region} or the image is not enabled for the account", "change `region`"
    return AwsError(
        message, code=code, hint=hint, detail=f"{code}: {words}" if words and words not in message else None
    )


def _to_change(code: str) -> str | None:
    """What else to ask AWS for."""
    if code in CAPACITY:
        return "change `instance_type`, `region` or `spot` in dsenv.toml, then: dsenv up"
    if code == "IncorrectSpotRequestState":
        return "AWS starts it again when it has room; not to wait, set spot = false, then: dsenv down, dsenv up"
    return f"change `{_UNKNOWN[code]}` in dsenv.toml, then: dsenv up" if code in _UNKNOWN else None


def _action(error: object, words: str) -> str:
    """The permission that is missing; AWS names it in its answer to some calls only."""
    named = re.search(r"perform: ([a-z0-9-]+:[A-Za-z0-9]+)", words)
    return named.group(1) if named else f"the operation {getattr(error, 'operation_name', '?')}"
