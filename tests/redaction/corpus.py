"""What must be hidden, and what must stay readable.

The secrets are made up from a seed each time, so that no scanner of repositories finds one here. `{}` in a template is
where the secret stands; what is in front of it is the shape that people and programs write.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import string
from collections.abc import Callable
from typing import Literal

Channel = Literal["env", "argv", "text", "local"]

_random = random.Random(20260301)
LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits


def some(length: int, alphabet: str = LOWER + UPPER + DIGITS) -> str:
    """Random text with a digit and, where the alphabet has them, letters of both kinds."""
    while True:
        found = "".join(_random.choice(alphabet) for _ in range(length))
        kinds = [kind for kind in (LOWER, UPPER, DIGITS) if set(kind) & set(alphabet)]
        if length < 6 or all(set(kind) & set(found) for kind in kinds):
            return found


def hexa(length: int) -> str:
    return some(length, "0123456789abcdef")


def url_safe(length: int) -> str:
    return some(length, LOWER + UPPER + DIGITS + "-_")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclasses.dataclass(frozen=True)
class Shape:
    """A secret in its place. `name` is that of the variable for env and local."""

    channel: Channel
    name: str
    text: str  # what stands there, the secret included
    secret: str  # the part that must not be found anywhere

    @property
    def id(self) -> str:
        return f"{self.channel}:{self.name or self.text.replace(self.secret, '{}')[:50]!r}"


def _env(names: str, value: Callable[[], str]) -> list[Shape]:
    return [Shape("env", name, secret, secret) for name in names.split() for secret in (value(),)]


def _local(names: str, value: Callable[[], str]) -> list[Shape]:
    return [Shape("local", name, secret, secret) for name in names.split() for secret in (value(),)]


def _text(template: str, secret: str) -> Shape:
    return Shape("text", "", template.replace("{}", secret), secret)


def _plain() -> str:
    """A password as people choose them."""
    words = ("correct", "horse", "battery", "staple", "swordfish", "Sommer", "trustno", "hunter")
    return f"{_random.choice(words)}{_random.choice('-_!.')}{_random.choice(words)}{_random.randrange(10, 99)}"


def _key() -> str:
    lines = [some(64, LOWER + UPPER + DIGITS + "+/") for _ in range(3)]
    return "\n".join(lines)


def _jwt() -> str:
    head = b64('{"alg":"HS256","typ":"JWT"}').rstrip("=")
    return f"{head}.{b64(json.dumps({'sub': some(8)})).rstrip('=')}.{url_safe(43)}"


def secrets() -> list[Shape]:
    """At least 150 shapes, the same ones each time."""
    _random.seed(20260301)
    return [*_variables(), *_arguments(), *_tokens(), *_urls(), *_written(), *_blocks(), *_in_locals()]


def _variables() -> list[Shape]:
    return [
        *_env("DB_PASSWORD PGPASSWORD MYSQL_PWD REDIS_PASSWORD password dbPassword DJANGO_SECRET SECRET", _plain),
        *_env("APP_SECRET_KEY FLASK_SECRET_KEY CLIENT_SECRET client_secret WEBHOOK_SECRET SMTP_PASS_WORD", _plain),
        *_env("AWS_SECRET_ACCESS_KEY", lambda: some(40, LOWER + UPPER + DIGITS + "+")),
        *_env("AWS_ACCESS_KEY_ID", lambda: "AKIA" + some(16, UPPER + DIGITS)),
        *_env("AWS_SESSION_TOKEN", lambda: "IQoJb3JpZ2lu" + some(300)),
        *_env("AZURE_CLIENT_SECRET AZURE_STORAGE_KEY AZURE_STORAGE_ACCOUNT_KEY", lambda: some(40)),
        *_env("GITHUB_TOKEN NPM_TOKEN VAULT_TOKEN MLFLOW_TRACKING_TOKEN SLACK_BOT_TOKEN", lambda: some(24)),
        *_env("SHORT_TOKEN CI_JOB_TOKEN", lambda: some(9, LOWER + DIGITS)),
        *_env("OPENAI_API_KEY WANDB_API_KEY DD_API_KEY SENDGRID_API_KEY DATADOG_APP_KEY", lambda: hexa(40)),
        *_env("AIRFLOW__CORE__FERNET_KEY FERNET_KEY ENCRYPTION_KEY SIGNING_KEY", lambda: some(43) + "="),
        *_env("SNOWFLAKE_PASSPHRASE PRIVATE_KEY_PASSPHRASE KEYSTORE_PASSCODE ADMIN_CREDENTIALS", _plain),
        *_env("TWILIO_AUTH_TOKEN SESSION_COOKIE_SIGNING_KEY MASTER_KEY LICENSE_KEY", lambda: hexa(32)),
    ]


def _arguments() -> list[Shape]:
    options = (
        "--password",
        "--db-password",
        "--api-key",
        "--secret",
        "--client-secret",
        "--access-token",
        "--auth-token",
    )
    return [
        *(Shape("argv", option, f"{option}\0{word}", word) for option in options for word in (_plain(),)),
        *(
            Shape("argv", f"{o}=", f"{o}={word}", word)
            for o in ("--password", "--pwd", "-Dpassword")
            for word in (_plain(),)
        ),
        *(Shape("argv", name, f"{name}={word}", word) for name in ("DB_PASSWORD", "api_key") for word in (_plain(),)),
        *(Shape("argv", "sh -c", f"PGPASSWORD={word} psql -c 'select 1'", word) for word in (_plain(),)),
        *(Shape("argv", "curl", f"curl -u me:{word} http://db.example.invalid", word) for word in (_plain(),)),
        *(Shape("argv", "mysql", f"mysql -u root -p{word} db", word) for word in (_plain(),)),
        *(Shape("argv", "--token", f"--token\0{word}", word) for word in (some(20),)),
    ]


def _tokens() -> list[Shape]:
    known = [
        *("AKIA" + some(16, UPPER + DIGITS), "ASIA" + some(16, UPPER + DIGITS), "AIza" + url_safe(35)),
        *("ya29." + url_safe(60), "GOCSPX-" + url_safe(28), "1//0" + url_safe(40), some(3) + "8Q~" + url_safe(34)),
        *(prefix + some(36) for prefix in ("ghp_", "gho_", "ghs_", "npm_", "dckr_pat_")),
        *("github_pat_" + some(22) + "_" + some(59), "glpat-" + url_safe(20), "pypi-AgEIcHlwaS5vcmc" + url_safe(60)),
        *("xoxb-" + some(12, DIGITS) + "-" + some(24), "xapp-1-" + some(40), "rubygems_" + hexa(48)),
        *(prefix + some(24) for prefix in ("sk_live_", "rk_live_", "whsec_", "sq0csp-")),
        *("SG." + url_safe(22) + "." + url_safe(43), "key-" + hexa(32), hexa(32) + "-us12", "SK" + hexa(32)),
        *("shpat_" + hexa(32), "sk-" + some(48), "sk-proj-" + url_safe(60), "sk-ant-api03-" + url_safe(80)),
        *("hf_" + some(34), "r8_" + some(37), "gsk_" + some(48), "pplx-" + some(48), "xai-" + some(60)),
        *("dapi" + hexa(32), "lsv2_pt_" + hexa(32) + "_" + hexa(10), "pcsk_" + some(50), "pscale_tkn_" + some(43)),
        *("hvs." + url_safe(90), some(14) + ".atlasv1." + url_safe(60), "dp.st.prd." + some(43), "NRAK-" + some(27)),
        *("glsa_" + some(32) + "_" + hexa(8), "sntrys_" + some(60), "PMAK-" + hexa(24) + "-" + hexa(34)),
        *("lin_api_" + some(40), "ntn_" + some(46), "dop_v1_" + hexa(64), "ATATT3" + url_safe(180)),
        *("AGE-SECRET-KEY-1" + some(58, UPPER + DIGITS), "sbp_" + hexa(40), "tskey-auth-" + some(20)),
        *("123456789:AA" + url_safe(33), _jwt(), some(64, LOWER + UPPER + DIGITS + "+/") + "=="),
    ]
    ways = ("using {} now", "'{}'", '{"value": "{}"}', "({})", "got {}\n")
    return [_text(ways[number % len(ways)], word) for number, word in enumerate(known)]


def _urls() -> list[Shape]:
    return [
        _text("connecting to postgresql://app:{}@db.example.invalid:5432/sales", _plain()),
        _text("mysql+pymysql://app:{}@db.example.invalid/sales?charset=utf8", "p@ss-" + some(8)),
        _text("redis://:{}@cache.example.invalid:6379/0", _plain()),
        _text("amqps://job:{}@mq.example.invalid/%2F", _plain()),
        _text("mongodb+srv://job:{}@cluster.example.invalid/?retryWrites=true", _plain()),
        _text("cloning https://{}@git.example.invalid/team/repo.git", some(30)),
        _text("https://oauth2:{}@git.example.invalid/team/repo.git", some(20)),
        _text("https://bucket.example.invalid/x?X-Amz-Credential=a&X-Amz-Signature={}&y=1", hexa(64)),
        _text("https://store.example.invalid/c/b?sv=2022&sig={}&se=2026", some(43) + "%3D"),
        _text("GET https://api.example.invalid/v1/x?api_key={}&page=2", some(20)),
        _text("https://api.example.invalid/cb?access_token={}", some(20)),
        _text("https://hooks.slack.com/services/{}", "T" + some(8) + "/B" + some(8) + "/" + some(24)),
        _text("https://chat.example.invalid/api/webhooks/{}", some(18, DIGITS) + "/" + url_safe(60)),
        _text("jdbc:postgresql://db.example.invalid/x?user=app&password={}", _plain()),
        _text("jdbc:oracle:thin:scott/{}@//db.example.invalid:1521/x", _plain()),
        _text("jdbc:sqlserver://db.example.invalid;user=app;password={};encrypt=true", _plain()),
    ]


def _written() -> list[Shape]:
    lines = [
        *("password={}", "password = '{}'", "DB_PASSWORD: {}", '"password": "{}"', "'secret': '{}', 'rows': 3"),
        *("Config(host='db', password='{}', port=5432)", "{'db': {'auth': {'password': '{}'}}}", "pwd={};"),
        *("Server=db;Database=x;User Id=sa;Password={};Encrypt=yes", "Driver={ODBC};UID=sa;PWD={{}};"),
        *("host=db dbname=x user=app password={} sslmode=require", "client_secret => '{}'", "export API_KEY={}"),
        *("AccountName=x;AccountKey={};EndpointSuffix=core.example.invalid", "SharedAccessKey={}"),
        *('{"apiKey": "{}"}', "X-Api-Key: {}", "Authorization: Bearer {}", "Authorization: token {}"),
        *("Cookie: sessionid={}; theme=dark", "Set-Cookie: sid={}; Path=/; HttpOnly", "credentials: {}"),
        *("login failed: password='{}' is wrong", "retrying with --password {} --rows 10", "passphrase: {}"),
        *("  - password: {}", "db_password: {}", "machine db login app password={}", "AWS4-HMAC Signature={}"),
    ]
    made: dict[str, Callable[[], str]] = {
        "Authorization: Bearer {}": lambda: some(40),
        "Authorization: token {}": lambda: some(40),
        "Cookie: sessionid={}; theme=dark": lambda: some(32, LOWER + DIGITS),
        "Set-Cookie: sid={}; Path=/; HttpOnly": lambda: some(26),
        "AccountName=x;AccountKey={};EndpointSuffix=core.example.invalid": lambda: some(86) + "==",
        "SharedAccessKey={}": lambda: some(43) + "=",
        "AWS4-HMAC Signature={}": lambda: hexa(64),
        "  - password: {}": lambda: some(12, LOWER),
        "db_password: {}": lambda: some(12, LOWER),
    }
    shapes = [_text(line, made.get(line, _plain)()) for line in lines]
    encoded = b64("app:" + _plain())
    return [*shapes, _text("Authorization: Basic {}", encoded), _text("header {} sent", b64(f"password={_plain()}"))]


def _blocks() -> list[Shape]:
    kinds = ("RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
    body = _key()
    escaped = json.dumps({"type": "service_account", "private_key": f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END"})
    return [
        *(_text(f"-----BEGIN {kind}-----\n{{}}\n-----END {kind}-----", _key()) for kind in kinds),
        _text("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{}\n-----END PGP PRIVATE KEY BLOCK-----", _key()),
        Shape("text", "service account", escaped, json.dumps(body)[1:-1]),
        _text("kubeconfig: client-key-data: {}", b64("-----BEGIN RSA PRIVATE KEY-----\n" + _key())),
    ]


def _in_locals() -> list[Shape]:
    names = "password db_password api_key apiKey secret client_secret credentials passwd aws_secret_access_key"
    return [
        *_local(names, _plain),
        *_local("token auth session key bearer", lambda: some(24)),
        *_local("url", lambda: "https://example.invalid"[:0] + "postgres://a:" + some(12) + "@h/x"),
    ]


# Text, and names with their values, that people need to understand a failure.
INNOCENT_TEXT = tuple(
    """
KeyError: 'password'
ValueError: could not convert string to float: '12,5 EUR'
the password is wrong
Enter password:
password must have at least 12 characters
invalid password: too short
token count: 512
max_tokens=4096 temperature=0.7
tokens: ['the', 'cat', 'sat']
tokenizer=BertTokenizer(vocab_size=30522)
sort_keys=True, separators=(',', ':')
df.groupby(key='customer').sum()
primary_key=id foreign_key=customer_id
key=lambda row: row['id']
KeyError: 'api_version'
session: <SparkSession at 0x7f3a2c1b5d90>
author: Ada Lovelace <ada@example.invalid>
authors = ['Ada', 'Grace']
secretary, 3 rows
the passenger list has 891 rows
pass_rate=0.93 passed=12 failed=1
bypass_cache=True
compass_heading=270
monkey, keyboard and turkey
http://example.invalid:8080/path?page=2&sort=key
https://example.invalid/a/b/c#section-2
s3://acme-data/churn/2026/03/01/part-00000-9f86d081884c7d65.parquet
gs://acme-data/model_v2/checkpoint-12000/pytorch_model.bin
/srv/app/train.py
C:\\Users\\ada\\model.pkl
commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b
sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
image python@sha256:2f1830d448a01d1891fea5e272976322f51016f19fb3e3a771779982a8aab2ca
ETag: "d41d8cd98f00b204e9800998ecf8427e"
integrity sha512-z5Q1AKbxV8PJe0f5hAgaXFs5gqv1yWGPMn3yTNDlAZN0uYwkF7vJXwYjQf7Fv3Vqg6m8U0BR2gVVbqk4nJkVxA==
SHA256:uNiVztksCsDhcc0u9e8BrZXfSeemU4vTzP1t7lN9hGk fingerprint
RECORD sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
123e4567-e89b-12d3-a456-426614174000
run 20260301T101500-000001-abcd
2026-03-01T10:15:00.123456+00:00 INFO loaded 1000 rows
192.0.2.17:5432 and [2001:db8::17]:443
array([0.1, 0.2, 0.3, 1e-07])
[[1 2 3], [4 5 6]]
DataFrame with 1000000 rows x 10 columns
dtype('float64')
<object at 0x7f3a2c1b5d90>
0x7ffd5e8b0a10
Traceback (most recent call last):
  File "/srv/app/train.py", line 31, in load
RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB
OSError: [Errno 28] No space left on device: '/scratch/tmp0k3x9_1a'
sklearn.ensemble._forest.RandomForestClassifier
HistGradientBoostingRegressor2024Q3ModelVersion
Churn_Model_2024_Final_Run_For_Europe_V12
sentence-transformers/all-MiniLM-L6-v2
bert-base-multilingual-uncased-sentiment
meta-llama/Meta-Llama-3.1-8B-Instruct
scikit_learn-1.8.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl
pip install numpy==2.4.6 --hash=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
libopenblasp-r0-085ca80a.3.7.so
OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=4
loss: 0.3412 - accuracy: 0.8734 - val_loss: 0.4123
Epoch 3/10 [======>.......] 34%
SELECT id, name FROM customers WHERE key = 'gold' AND token_count > 3
{"rows": 1000, "columns": ["id", "price"], "key": "id"}
{'n_estimators': 200, 'max_depth': 8, 'random_state': 42}
Config(learning_rate=0.001, batch_size=128, seed=42)
args: Namespace(rows=1000, out='outputs/model.pkl')
--rows 1000 --seed 42 --key customer
random seed: 1234567890123
job-churn-train-7d9f8b6c5d-x2x7q
airflow-worker-churn-features-7d9f8b6c5d-x2x7q
arn:aws:s3:::acme-data/churn
arn:aws:iam::123456789012:role/ChurnTraining
ip-10-0-0-17.eu-west-1.compute.internal
ami-0abcdef1234567890 subnet-0a1b2c3d4e5f67890 i-0123456789abcdef0
price 1.234.567,89 EUR on 01.03.2026
phone +49 30 901820
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@host
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk
base64 of a word: aGVsbG8gd29ybGQgYWdhaW4=
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
================================================
--------------------------------------------------
""".strip().splitlines()
)

INNOCENT_NAMES: tuple[tuple[str, str], ...] = (
    *(("tokenizer", "bert-base-uncased"), ("sort_keys", "id,name"), ("author", "Ada"), ("spark_session", "local[4]")),
    *(("monkey", "george1234abcd"), ("keyboard", "de-latin1-nodeadkeys"), ("passenger", "Ada L. 17B")),
    *(("PASSWORD_FILE", "/run/secrets/db"), ("SECRET_NAME", "prod/db/main"), ("SECRET_ARN", "arn:aws:x:secret")),
    *(("password_policy", "strong"), ("password_field", "pwd"), ("password_column", "pw"), ("token_type", "Bearer")),
    *(("TOKEN_URL", "https://login.example.invalid/token"), ("auth_url", "https://login.example.invalid")),
    *(("auth_type", "basic"), ("auth_method", "iam"), ("KEY", "customer"), ("key", "user_id"), ("sort_key", "date")),
    *(("primary_key", "order_id"), ("foreign_key", "customer_id"), ("key_column", "id"), ("partition_key", "day")),
    *(("pad_token", "<pad>"), ("eos_token", "</s>"), ("unk_token", "[UNK]"), ("bos_token", "<s>")),
    *(("token", "the"), ("tokens", "the cat sat on the mat"), ("TOKENIZERS_PARALLELISM", "false")),
    *(("session", "train"), ("session_name", "nightly"), ("SESSION_TIMEOUT", "3600"), ("cookie_policy", "lax")),
    *(("authorized", "True"), ("authority", "login.example.invalid"), ("pass_rate", "0.93"), ("passed", "12")),
    *(("compass", "NNE"), ("secretariat", "Paris"), ("signature", "(rows, *, key=None)"), ("seed", "42")),
    *(("random_seed", "1234567890"), ("salt", "0.5 g"), ("license", "Apache-2.0"), ("pattern", "**/*.csv")),
    *(("OMP_NUM_THREADS", "4"), ("PYTHONHASHSEED", "12345"), ("PATH", "/usr/local/bin:/usr/bin"), ("LANG", "C.UTF-8")),
    *(("SHELL", "/bin/bash"), ("HOME", "/home/app"), ("AWS_REGION", "eu-west-1"), ("AWS_PROFILE", "prod")),
    *(("GOOGLE_APPLICATION_CREDENTIALS", "/etc/gcp/key.json"), ("SSH_AUTH_SOCK", "/tmp/ssh-XX/agent.12")),
    *(("GPG_TTY", "/dev/pts/3"), ("XDG_SESSION_ID", "42"), ("DESKTOP_SESSION", "gnome"), ("KEYMAP", "de")),
    *(("password", ""), ("password", "None"), ("api_key", "null"), ("secret", "false"), ("token", "0")),
    *(("password", "********"), ("MLFLOW_RUN_ID", "9f86d081884c7d659a2feaa0c55ad015"), ("BUILD_ID", "8f3c2a1b")),
    *(("model", "gpt-4o-mini-2024-07-18"), ("experiment", "Churn_2026_Q1_Baseline_Run_12"), ("bucket", "acme-data")),
)
