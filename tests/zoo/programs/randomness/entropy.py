import os
import random
import secrets
import uuid

import names

chosen = (uuid.uuid4().int, int.from_bytes(os.urandom(16), "big"), secrets.randbits(128))
names.fail(*(number / 2**128 for number in chosen), random.SystemRandom().random())
