"""What botocore raises, as errors of ours: the only place that knows its exceptions and the codes of AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

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
    "InvalidAccessKeyId", "InvalidToken", "MissingAuthenticationToken",
})  # fmt: skip
DENIED = frozenset({
    "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation",
})  # fmt: skip
_THROTTLED = frozenset({
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown",
    "EC2ThrottledException", "RequestThrottled",
})  # fmt: skip
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
def translated(doing: str, region: str) -> Iterator[None]:
    """Errors of botocore become ours. `doing` is what was tried, as in "cannot start the instance"."""
    from botocore import exceptions as theirs

    try:
        yield
    except theirs.ClientError as error:
        raise _refused(error, doing, region) from error
    except (theirs.NoCredentialsError, theirs.PartialCredentialsError, theirs.CredentialRetrievalError) as error:
        raise AwsError(
            f"{doing}: there are no AWS credentials here", code="NoCredentials", hint="aws configure", detail=str(error)
        ) from error
    except (theirs.TokenRetrievalError, theirs.SSOError, theirs.UnauthorizedSSOTokenError) as error:
        raise AwsError(f"{doing}: the AWS login has expired", code="ExpiredToken", hint="aws sso login") from error
    except theirs.ProfileNotFound as error:
        raise AwsError(
            f"{doing}: {error}", code="ProfileNotFound", hint="aws configure list-profiles, then set `profile`"
        ) from error
    except theirs.NoRegionError as error:
        raise AwsError(
            f"{doing}: no AWS region is set", code="NoRegion", hint='set region = "eu-west-1" in dsenv.toml'
        ) from error
    except (theirs.HTTPClientError, theirs.ConnectionError) as error:
        raise AwsError(
            f"{doing}: AWS cannot be reached in {region}",
            code="Unreachable",
            hint="check the network and the region's name, then repeat the command",
            detail=str(error),
        ) from error
    except theirs.BotoCoreError as error:
        raise AwsError(f"{doing}: {error}", code=type(error).__name__) from error


def _refused(error: object, doing: str, region: str) -> AwsError:
    response = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", "Unknown"))
    words = str(response.get("Error", {}).get("Message", "")).strip()
    message, hint = f"{doing}: {words or code}", None
    if code in _EXPIRED:
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
    elif code in CAPACITY:
        hint = "change `instance_type`, `region` or `spot` in dsenv.toml, then: dsenv up"
    elif code == "OptInRequired":
        message, hint = f"{doing}: the region {region} or the image is not enabled for the account", "change `region`"
    elif code in _UNKNOWN:
        hint = f"change `{_UNKNOWN[code]}` in dsenv.toml, then: dsenv up"
    return AwsError(
        message, code=code, hint=hint, detail=f"{code}: {words}" if words and words not in message else None
    )


def _action(error: object, words: str) -> str:
    """The permission that is missing; AWS names it in its answer to some calls only."""
    named = re.search(r"perform: ([a-z0-9-]+:[A-Za-z0-9]+)", words)
    return named.group(1) if named else f"the operation {getattr(error, 'operation_name', '?')}"
