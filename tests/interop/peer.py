"""A participant in Python: one command a run, results on stdout."""
import concurrent.futures
import contextlib
import json
import os
import random
import signal
import sys
import time
import warnings
from contextlib import closing

import shmstruct
from shmstruct import Document, Editor, FileFormatError, LayoutMismatchError, LockTimeoutError, Reader


if os.environ.get("NO_ATOMICS"):
    shmstruct._atomics = None


def say(*words):
    print(*words, flush=True)


def is_whole(ledger):
    return list(ledger.values) == [ledger.count] * 60


def fill(ledger, count):
    ledger.count = count
    ledger.values[:] = [count] * 60


def nested(path, _):
    """Locks of one thread on one file, one inside the other."""
    editor, reader, other = (role("Ledger", dir=path) for role in (Editor, Reader, Reader))

    def refused(inner):
        try:
            with inner:
                return False
        except shmstruct.DeadlockError:
            return True

    with reader, other:
        say(refused(editor), refused(reader))
    with editor:
        say(refused(editor), refused(reader), refused(reader.lock(timeout=5)))
        # Another thread, and a child that was forked, only wait.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            say(type(pool.submit(reader.lock(timeout=0.05).__enter__).exception()).__name__)
        if os.fork() == 0:
            try:
                Editor("Ledger", dir=path).edit(timeout=0.05).__enter__()
            except LockTimeoutError as error:
                say(type(error).__name__)
            os._exit(0)
        os.wait()
    with editor:
        say("free again")


def is_free(lock_path):
    """Whether another open file gets both locks of a lock file at once, as another process would."""
    fd = os.open(lock_path, os.O_RDWR)
    try:
        return shmstruct._flock(fd, 2) and shmstruct._record_lock(fd, 2)
    finally:
        os.close(fd)


def interrupt(turn, count):
    """Calls turn() until a signal handler's exception comes out of it, so often."""
    has_come = False

    def strike(*_):
        nonlocal has_come
        has_come = True
        raise TimeoutError

    # A function: in Python 3.13 the jump back of a loop inside `try` is not covered by it.
    def turns():
        while not has_come:
            turn()

    signal.signal(signal.SIGALRM, strike)
    for _ in range(count):
        has_come = False
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-4 + random.random() * 3e-4)
            turns()
        except TimeoutError:
            pass
        yield


def interrupted(path, count):
    """Transactions, turns at the lock and documents; how often the lock was kept after the next call, and how many were torn."""
    editor, reader, looker = (role("Ledger", dir=path) for role in (Editor, Reader, Reader))
    document = Document(os.path.join(path, "document"))

    def transaction():
        with editor as ledger:
            fill(ledger, ledger.count + 1)

    def edit():
        with editor.edit(timeout=60) as ledger:
            fill(ledger, ledger.count + 1)

    def read():
        with reader as ledger:
            assert is_whole(ledger)

    def write():
        document.write({"copies": [random.random()] * 3})

    kept = torn = 0
    for turn, role in ((transaction, editor), (edit, editor), (read, reader), (write, document)):
        lock = role._segment.lock.path
        for _ in interrupt(turn, count):
            role.version
            kept += not is_free(lock)
            turn()
            torn += not is_whole(looker.snapshot()) or len(set((document.read() or {"copies": [0]})["copies"])) != 1
    say("kept", kept, "torn", torn)


def interrupted_slots(path, count):
    """Pushes, jobs and messages; how many slots stayed half written, and how many messages were torn or out of order."""
    queue, publisher = shmstruct.Queue("Item", dir=path), shmstruct.Publisher("Item", dir=path)
    subscriber = shmstruct.Subscriber("Item", dir=path, start="next")

    def works():
        queue.push(item_of(1), timeout=0)
        with queue.take(60) as job:
            job.done()

    for _ in interrupt(works, count):
        pass
    writing = sum(queue._slots.words[slot] >> 30 == 1 for slot in queue._slots.all())
    bad, last = 0, -1
    for _ in interrupt(lambda: publisher.send(item_of(publisher.index)), count):
        for message in iter(subscriber.receive, None):
            bad += not is_item(message.data) or message.index <= last
            last = message.index
    say("writing", writing, "bad", bad)


def handled(path, _):
    """A signal handler that uses the object amid its steps gets an error, and the steps go on."""
    editor, refused, count = Editor("Ledger", dir=path), 0, 0

    def strike(*_):
        nonlocal refused
        try:
            with editor:
                pass
        except shmstruct.DeadlockError:
            refused += 1

    signal.signal(signal.SIGALRM, strike)
    while refused < 20:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + random.random() * 2e-4)
        with editor as ledger:
            fill(ledger, count + 1)
        count += 1
        assert editor.snapshot().count == count and is_whole(editor.snapshot())
    signal.setitimer(signal.ITIMER_REAL, 0)
    say("whole", is_free(editor._segment.lock.path))


def error_of(action):
    try:
        action()
        return "none"
    except Exception as error:
        return "%s %s" % (type(error).__name__, error)


def misuses(path, _):
    """What is refused, with its message."""
    editor, reader = Editor("Ledger", dir=path), Reader("Ledger", dir=path)
    document = Document(os.path.join(path, "document"))

    def closes():
        other = Editor("Ledger", dir=path)
        with other as ledger:
            ledger.count = 4242
            del ledger
            other.close()

    for value in ({"x": float("nan")}, {"a": [1, {"b": float("inf")}]}, {1: 2, True: 3}):
        say(error_of(lambda: document.write(value)))
    document.write({"pair": (1, 2)})
    say(document.read())
    say(error_of(closes).split(" ")[0], editor.snapshot().count)
    for ask in (editor.edit, reader.lock, reader.wait_for_change, reader.snapshot, document.read, lambda limit: document.write(1, limit)):
        say(error_of(lambda: ask("soon")), "|", error_of(lambda: ask(float("nan"))))
    for name, tag in (("../x", ""), ("", ""), ("Ledger", "a/b"), ("Ledger", "a\nb"), ("Ledger", 5)):
        say(error_of(lambda: Reader(name, dir=path, tag=tag)))
    say(is_free(editor._segment.lock.path), is_free(document._segment.lock.path))


def edits(path, count):
    editor = Editor("Ledger", dir=path)
    i = 0
    while count < 0 or i < count:
        try:
            with editor as ledger:
                ledger.hits += 1
                fill(ledger, ledger.count + 1)
                if i % 7 == 3:
                    fill(ledger, 12345)
                    raise KeyError
        except KeyError:
            pass
        if count < 0 and i == 0:
            say(i)
        i += 1
    say(editor.version)
    editor.close()


def snapshots(path, milliseconds):
    reader = Reader("Ledger", dir=path)
    end = time.monotonic() + milliseconds / 1000
    copies = torn = older = last = 0
    while time.monotonic() < end:
        version = reader.version
        torn += not is_whole(reader.snapshot())
        older += version < last
        last = version
        copies += 1
    say(copies, torn, older)


def waits(path, count):
    reader = Reader("Ledger", dir=path)
    say("ready")
    for _ in range(count):
        assert reader.wait_for_change(5)
    say(reader.version & 0xFFFFFFFF)


def ticks(path, count):
    """Commits once a millisecond; `count` is the time in nanoseconds."""
    editor, following = Editor("Ledger", dir=path), time.monotonic()
    for _ in range(count):
        following += 0.001
        time.sleep(max(0, following - time.monotonic()))
        with editor.edit() as ledger:
            ledger.writer += 1
            ledger.count = time.time_ns()


def sees(path, count):
    """At each change: how old the last commit is, in microseconds, until `writer` is that number."""
    reader, last, ages = Reader("Ledger", dir=path), 0, []
    say("ready")
    while last < count:
        reader.wait_for_change()
        ledger = reader.snapshot()
        if ledger.writer != last:
            ages.append((time.time_ns() - ledger.count) / 1000)
        last = ledger.writer
    say("\n".join("%.1f" % age for age in ages))


def unscheduled():
    """For how long this thread could have run and had no processor, in seconds, as the kernel counts it."""
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1]) / 1e9


def say_times(start, end, lacked=0):
    """In milliseconds of CLOCK_MONOTONIC, which all processes share; for how long it had no processor meanwhile."""
    say("%.3f %.3f %.3f" % (start * 1e3, end * 1e3, lacked * 1e3))


def shares(path, milliseconds):
    """Reads under the lock, each time for that long, in a row; without end. With TIMES: when each began and ended."""
    reader = Reader("Ledger", dir=path)
    say("ready")
    while True:
        with reader.lock():
            start = time.monotonic()
            time.sleep(milliseconds / 1000)
            end = time.monotonic()
        if "TIMES" in os.environ:
            say_times(start, end)


def waits_for_lock(path, count):
    """Takes the lock that many times; when each wait began and ended, and how long there was no processor."""
    editor = Editor("Ledger", dir=path)
    for _ in range(count):
        before = unscheduled()
        start = time.monotonic()
        with editor.edit():
            end = time.monotonic()
        say_times(start, end, unscheduled() - before)
        time.sleep(0.001)


def locked(path, milliseconds):
    """What needs the lock of a record without transactions, while another process holds it."""
    with closing(Reader("Ledger", dir=path)) as reader:
        say(reader.version & 0xFFFFFFFF)
        try:
            reader.snapshot(timeout=milliseconds / 1000)
        except LockTimeoutError:
            say("timeout")


def locked_document(path, milliseconds):
    """What needs the lock of a document, as each look at it meets a commit, while another process holds it."""
    with Document(path) as file:
        copy, words = file._copy, file._segment.file.map.words

        def meets_a_commit(sequence):
            words[file._segment.file.sequence] += 2
            return copy(sequence)

        file._copy = meets_a_commit
        try:
            file.read(timeout=milliseconds / 1000)
        except LockTimeoutError:
            say("timeout")


def timeout(path, milliseconds):
    with closing(Editor("Ledger", dir=path)) as editor:
        try:
            with editor.edit(timeout=milliseconds / 1000):
                say("held")
        except LockTimeoutError:
            say("timeout")


def shared(path, _):
    with closing(Reader("Ledger", dir=path)) as reader, reader as ledger:
        say(ledger.count)


def mine(path, _):
    sys.path.insert(0, os.environ["MINE"])
    from Ledger import Ledger

    say(Reader(Ledger, dir=path).snapshot().count)
    Ledger._fields_[1]

    class Other(shmstruct.ctypes.Structure):
        _fields_ = [("header", shmstruct.ctypes.c_uint8 * 16), ("values", shmstruct.ctypes.c_uint64 * 60)]

    Other.__name__ = "Ledger"
    try:
        Reader(Other, dir=path)
    except LayoutMismatchError as error:
        say("mismatch", "values" in str(error))


def numpy(path, _):
    with closing(Editor("Ledger", dir=path)) as editor, editor as ledger:
        view = shmstruct.numpy_view(ledger.values)
        view[:] = 7
        say((view / 2).dtype.name[:5], len(view))
        del view


def fork(path, _):
    editor = Editor("Ledger", dir=path)
    transaction = editor.edit()
    transaction.__enter__()
    child = os.fork()
    if child == 0:
        try:
            editor.snapshot()
        except shmstruct.ClosedError:
            say("closed")
        time.sleep(120)
        os._exit(0)
    transaction.__exit__(None)
    editor.close()
    # The child has said what it found by now.
    time.sleep(0.3)
    say(child)


def document(path, text):
    with Document(path) as file:
        if text is not None:
            file.write({"from": text})
        say(file.version & 0xFFFFFFFF, file.read())


COPIES = 40


def counts(path, _):
    """Counts up in a document until it is killed."""
    with Document(path) as file:
        segment, first = file._segment, True
        while True:
            segment.acquire(2)
            try:
                n = file.read()["n"] + 1
                text = json.dumps({"n": n, "copies": [n] * COPIES}, separators=(",", ":"))
                file._commit(text.encode())
            finally:
                segment.release()
            segment.announce()
            if first:
                say("ready")
            first = False


def reads(path, milliseconds):
    end = time.monotonic() + milliseconds / 1000
    copies = torn = older = last = 0
    with Document(path, readonly=True) as file:
        while time.monotonic() < end:
            version, value = file.version, file.read()
            torn += value["copies"] != [value["n"]] * COPIES
            older += version < last
            last = version
            copies += 1
    say(copies, torn, older)


def backup(path, _):
    with closing(Reader("Ledger", path=path)) as reader, reader.lock() as ledger:
        say(ledger.count, reader.snapshot().count)


def untrusted(path, _):
    try:
        Reader("Ledger", dir=path)
    except shmstruct.UntrustedFileError:
        say("refused")
    say(Reader("Ledger", dir=path, trust=True).snapshot().count)


def damaged(path, _):
    try:
        Reader("Ledger", dir=path)
    except FileFormatError:
        say("refused")


def is_item(item):
    return list(item.values) == [item.number] * 15


def item_of(number):
    return {"number": number, "values": [number] * 15}


def publishes(path, count):
    with shmstruct.Publisher("Item", dir=path) as publisher:
        say(publisher.index, publisher.epoch)
        i = 0
        while count < 0 or i < count:
            publisher.send(item_of(publisher.index), type=7)
            i += 1


def needs(path, _):
    for role in (shmstruct.Publisher, shmstruct.Queue):
        try:
            role("Item", dir=path)
        except shmstruct.UnsupportedError as error:
            say(error)
    # As on arm64, where a read without a lock needs fences: futex(2) has one.
    shmstruct._ARM = True
    with closing(Editor("Ledger", dir=path)) as editor:
        with editor.edit() as ledger:
            fill(ledger, 5)
        with editor.lock() as ledger:
            say(ledger.count, is_whole(ledger))
        say(editor.snapshot().count)


def receives(path, count):
    subscriber = shmstruct.Subscriber("Item", dir=path, start="oldest")
    say("ready")
    seen = torn = 0
    while seen < count:
        message = subscriber.receive(timeout=60)
        torn += not is_item(message.data) or message.data.number != message.index
        seen += 1 + message.missed
    say(seen, torn)


def received(path, _):
    """For each line that it reads: how many messages there are, and the indexes of the first and the last one."""
    subscriber = shmstruct.Subscriber("Item", dir=path, start="oldest")
    for _line in iter(sys.stdin.readline, ""):
        found = list(iter(subscriber.receive, None))
        assert all(is_item(message.data) and message.data.number == message.index for message in found)
        say(len(found), found[0].index if found else 0, found[-1].index if found else 0)


def listens(path, milliseconds):
    subscriber = shmstruct.Subscriber("Item", dir=path, start="oldest")
    end = time.monotonic() + milliseconds / 1000
    received = torn = 0
    while time.monotonic() < end:
        message = subscriber.receive(timeout=0.02)
        if message is not None:
            received += 1
            torn += not is_item(message.data) or message.data.number != message.index
    say(received, torn)


def note(*words):
    """Appends a line to the file of that name, by one write: what a killed process has buffered would be lost."""
    log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, (" ".join(map(str, words)) + "\n").encode())
    os.close(log)


def produces(path, first):
    """Pushes jobs from that number on until it is killed, and notes each once it is pushed."""
    queue = shmstruct.Queue("Item", dir=path)
    say("ready")
    while True:
        queue.push(item_of(first))
        note(first)
        first += 1


def works(path, _):
    """Takes jobs until it is killed, and notes each before it is done."""
    queue = shmstruct.Queue("Item", dir=path)
    say("ready")
    while True:
        job = queue.take()
        if job is not None:
            note(job.data.number, int(is_item(job.data)))
            job.done()


def pushes(path, first):
    with shmstruct.Queue("Item", dir=path) as queue:
        for number in range(first, first + int(os.environ["COUNT"])):
            assert queue.push(item_of(number), timeout=60)


def refused(put, values):
    """What is said of each value that is refused; "taken" of the others."""
    for value in values:
        try:
            put(value)
            say("taken")
        except (TypeError, ValueError) as error:
            say(type(error).__name__, error)


def refuses(path, _):
    """What is no item, pushed to a queue and sent to a channel."""
    numbers = [0] * 15
    values = [
        5, b"abc", "abc", [1, 2, 3], None, {"nope": 1}, {"number": -1}, {"number": 1 << 64}, {"number": "7"}, {"number": 1.5},
        {"values": [1, 2]}, {"values": 5}, {"values": [-1] + numbers[1:]}, bytes(129),
        shmstruct.structure_from_schema(OTHER)(1),
    ]
    with shmstruct.Queue("Item", dir=path) as queue, shmstruct.Publisher("Item", dir=path) as publisher:
        refused(queue.push, values)
        say("--")
        refused(publisher.send, values)
        say("--")
        for put in (queue.push, publisher.send):
            refused(put, [item_of(1), bytes(128), {"number": True, "values": range(15)}, queue._payload.cls(4)])
        refused(lambda value: publisher.send(value, type=-1), [item_of(1)])


OTHER = {"name": "Other", "kind": "struct", "size": 4, "fields": {"id": {"type": "c_uint32", "offset": 0, "size": 4}}}


def refuses_bytes(path, _):
    with shmstruct.Queue(bytes, dir=path) as queue:
        refused(queue.push, [5, [1, 2], "abc", {"a": 1}, bytes(9), b"", bytearray(b"abc"), memoryview(b"abcd")])


def refuses_members(path, _):
    """Values for a member of each kind."""
    with shmstruct.Queue("Kinds", dir=path) as queue:
        refused(queue.push, [
            {"small": 128}, {"flag": 2}, {"flag": "yes"}, {"real": 1e39}, {"real": "1"}, {"name": b"12345"}, {"name": 5},
            {"point": 5}, {"point": {"x": "1"}}, {"point": {"z": 1}}, {"points": [{"x": 1}, {"x": None}]}, {"low": 8},
            {"mode": 7}, {"big": 1 << 16}, {"_padding_9": [0]},
        ])
        refused(queue.push, [{
            "small": -128, "flag": True, "real": 1, "name": b"1234", "point": {"x": 2.5}, "points": [{"x": 1}, {"x": 2}], "low": 7,
            "mode": 1, "big": 65535,
        }])


def takes(path, milliseconds):
    queue = shmstruct.Queue("Item", dir=path)
    while True:
        job = queue.take(timeout=milliseconds / 1000)
        if job is None:
            break
        say(job.data.number, int(is_item(job.data)))
        job.done()


def fails(path, _):
    """Takes jobs and fails each with a note, until there is none; how often, and what was warned of."""
    count = 0
    with shmstruct.Queue("Item", dir=path) as queue, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        while True:
            job = queue.take(timeout=0)
            if job is None:
                break
            count += 1
            # The last attempt of the first job is to wait, which a dead letter does not.
            delay = 60 if job.attempt == 2 and job.data.number == 1 else 0
            job.fail(delay, reason="from Python, in a text that is longer than the thirty-two bytes")
        say(count, *(warning.message for warning in found[:1]))


def lines(path, _):
    """Pushes a job for each line that it reads."""
    with shmstruct.Queue("Item", dir=path) as queue:
        for number, _line in enumerate(iter(sys.stdin.readline, "")):
            try:
                say("no error" if queue.push(item_of(number), timeout=60) else "full")
            except shmstruct.ShmError as error:
                say(type(error).__name__)


def leases(path, milliseconds):
    """Takes a job and extends its lease for that long, then loses it."""
    with shmstruct.Queue("Item", dir=path) as queue:
        job = queue.take(timeout=60)
        say("taken")
        end = time.monotonic() + milliseconds / 1000
        while time.monotonic() < end:
            job.extend()
            time.sleep(0.002)
        say("extended")
        try:
            for _ in range(20000):
                if queue._find(job) is None:
                    break
                time.sleep(0.005)
            job.done()
        except shmstruct.LeaseLostError:
            say("lost")


def holds(path, _):
    queue = shmstruct.Queue("Item", dir=path)
    job = queue.take(timeout=60)
    say(job.data.number)
    time.sleep(120)


def schemas(path, _):
    """Every member of every layout lies where its schema says."""
    with open(path) as file:
        all_of_them = json.load(file)
    for schema in all_of_them:
        cls = shmstruct.structure_from_schema(schema)
        for name, member in schema["fields"].items():
            if "bits" in member:
                continue
            found = getattr(cls, name)
            assert (found.offset, found.size) == (member["offset"], member["size"]), (schema["name"], name)
    say(len(all_of_them))


class Served:
    """A content of tests/conformance/languages.test.ts. A state is a number: of a record and a document what it counts, of a channel
    its messages, of a queue its jobs."""

    def __init__(self, kind):
        self.kind, self.role, self.publisher, self.held = kind, None, None, None

    def open(self, dir):
        if self.role is not None:
            self.role.close()
        self.role, self.dir = None, dir
        opened = {
            "record": lambda: Editor("Ledger", dir=dir),
            "document": lambda: Document(dir + "/d"),
            "channel": lambda: shmstruct.Subscriber("Item", dir=dir, start="oldest"),
            "queue": lambda: shmstruct.Queue("Item", dir=dir),
        }
        self.role = opened[self.kind]()
        return "ok"

    def state(self, dir):
        if self.kind not in ("record", "document"):
            return self.peek(dir)
        segment = self.role._segment
        segment.acquire(1, 100.0)
        try:
            return self.peek(dir)
        finally:
            segment.release()

    def peek(self, _):
        role = self.role
        if self.kind == "record":
            data = role.snapshot()
            return "state %d" % data.count if is_whole(data) else "torn"
        if self.kind == "document":
            value = role.read()
            return "state %d" % value["n"] if value["copies"] == [value["n"]] * COPIES else "torn"
        if self.kind == "channel":
            count = role.published
            messages = list(iter(role.receive, None))
            is_torn = any(not is_item(message.data) or message.data.number != message.index for message in messages)
            return "torn" if is_torn else "state %d" % count
        jobs, is_torn = [], False
        try:
            for job in iter(lambda: role.take(0), None):
                jobs.append(job)
                is_torn |= not is_item(job.data)
        finally:
            for job in jobs:
                # A job of a file that another one has taken the place of is gone.
                with contextlib.suppress(shmstruct.LeaseLostError):
                    job.release()
        return "torn" if is_torn else "state %d" % len(jobs)

    def advance(self, _, seconds=100.0):
        role = self.role
        if self.kind == "record":
            with role.edit(seconds) as data:
                fill(data, data.count + 1)
        elif self.kind == "document":
            role._segment.acquire(2, seconds)
            try:
                n = role.read()["n"] + 1
                role._commit(json.dumps({"n": n, "copies": [n] * COPIES}, separators=(",", ":")).encode())
            finally:
                role._segment.release()
            role._segment.announce()
        elif self.kind == "channel":
            with shmstruct.Publisher("Item", dir=self.dir, wait=seconds) as publisher:
                publisher.send(item_of(publisher.index))
        elif not role.push(item_of(0), timeout=seconds):
            return "full"
        return "ok"

    def try_(self, dir):
        return self.advance(dir, 0)

    def half(self, _):
        """Stops in the middle of a write, or of a job."""
        if self.kind == "record":
            self.held = self.role.edit(100.0)
            self.held.__enter__().values[7] = 12345
        elif self.kind == "document":
            self.role._segment.acquire(2, 100.0)
        elif self.kind == "channel":
            publisher = self.held = shmstruct.Publisher("Item", dir=self.dir, wait=100.0)
            slots, slot = publisher._slots, publisher._slots.at(publisher.index)
            slots.map.publish(slot, 2 * publisher.index + 1)
            slots.write(slot, b"\xff" * 100)
        else:
            self.held = self.role.take(100.0)
        return "ok"

    def again(self, _):
        """Publishes one more message as the publisher that `half` has made."""
        self.held._look()
        self.held.send(item_of(self.held.index))
        return "ok"

    def release(self, _):
        if self.kind == "record":
            self.held.__exit__(KeyError, None, None)
        elif self.kind == "document":
            self.role._segment.release()
        elif self.kind == "channel":
            self.held.close()
        else:
            self.held.release()
        return "ok"

    def watch(self, _):
        if self.kind == "channel":
            self.peek(_)
            say("watching")
            return "ok" if self.role.receive(100.0) is not None else "timeout"
        self.role._reported = self.role.version
        say("watching")
        return "ok" if self.role.wait_for_change(100.0) else "timeout"

    def churn(self, dir):
        say("churning")
        while True:
            self.advance(dir)


WORDS = {"FileMissingError": "missing", "FileFormatError": "damaged", "LockTimeoutError": "timeout", "LayoutMismatchError": "layout"}


def serve():
    """Reads lines `COMMAND KIND DIRECTORY`, and answers each by one."""
    served = {kind: Served(kind) for kind in ("record", "document", "channel", "queue")}
    for line in iter(sys.stdin.readline, ""):
        command, kind, where = line.split()
        try:
            say(getattr(served[kind], "try_" if command == "try" else command)(where))
        except Exception as error:
            say(WORDS.get(type(error).__name__, "%s: %s" % (type(error).__name__, error)))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
        sys.exit()
    command, where, *rest = sys.argv[1:]
    if command == "document":
        document(where, rest[0] if rest else None)
    else:
        globals()[command.replace("-", "_")](where, int(rest[0]) if rest else 0)
