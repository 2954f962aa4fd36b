"""A thread dies, and the program ends when it notices."""

import queue
import sys
import threading

answers = queue.Queue()


def work():
    answers.put({}["total"])


thread = threading.Thread(target=work)
thread.start()
thread.join()
if answers.empty():
    sys.exit("no answer")
