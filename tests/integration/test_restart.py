"""A new process in the place of the old one: killed and started again, stopped and started again,
upgraded in full work. What runs stays in the ledger, what waits falls back, and no client sees an
error. SLO_TEST_SCALE scales counts, never conditions.
"""
import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from faultlab import LONG, SERVERS, WithStack  # noqa: E402
from lab import PATIENCE, AgentAlone, end_line, scaled  # noqa: E402
from stack import MODEL, wait_for  # noqa: E402

ROOM = scaled(40, 4)  # of each of the servers
HELD = scaled(100, 10)
NEWS = r"(\d+) requests in flight and the history of (\d+) models taken up, (\d+) entries left out"


def with_snapshot(conf):
    conf["snapshot"] = {"file": "state.snap", "every": "200ms"}


def written(lab):
    """Waits for a snapshot that was begun after now."""
    since = lab.counter("snapshots_written_total")  # the next may have been begun already
    wait_for(lambda: lab.counter("snapshots_written_total") >= since + 2, "a snapshot",
             60 * PATIENCE)


class Successor:
    """The process that took over: no child of ours, so it is watched by its pid."""

    def __init__(self, pid, old):
        self.pid, self.log, self.returncode = pid, old.log, None

    def alive(self):
        try:
            return pathlib.Path(f"/proc/{self.pid}/stat").read_text().split(")")[1].split()[0] != "Z"
        except OSError:
            return False

    def crashed(self):
        return False  # its exit status is not ours to know

    def text(self):
        return self.log.read_text(errors="replace")

    def send(self, number):
        os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM, seconds=10):
        if self.alive():
            self.send(number)
            wait_for(lambda: not self.alive(), "the successor ends", seconds * PATIENCE)
        # Its last line if all went well.
        return 0 if f"({self.pid}) : slo-spoa stops" in self.text() else 1


def upgrade(lab):
    """SIGUSR2; the old process ends well and the new one serves."""
    old = lab.agent
    before = len(old.text())
    old.send(signal.SIGUSR2)
    found = wait_for(lambda: re.search(r"upgrade: started \S+ as pid (\d+)", old.text()[before:]),
                     "the new process", 30 * PATIENCE)
    lab.agent = Successor(int(found[1]), old)
    wait_for(lambda: not old.alive(), "the old process ends", 30 * PATIENCE)
    return old.stop()


class Restarts(WithStack):
    def start(self, **kw):
        return super().start(room=ROOM, speed=1, config=with_snapshot, runtime_api=True, **kw)

    async def fill_up(self, held=HELD):
        tasks = await self.lab.fill(SERVERS * ROOM, held, held_tokens=LONG)
        await asyncio.to_thread(self.lab.checks, True)
        return tasks

    def truth(self):
        """What HAProxy runs on each server."""
        return {r["svname"]: int(r["scur"]) + int(r["qcur"]) for r in self.lab.stat()
                if r["svname"] in self.lab.fleet}

    async def ledger_is_right(self):
        """How long it takes until each server's utilisation is within 10 % of what HAProxy runs."""
        began = time.monotonic()

        def right():
            there = self.truth()
            return all(abs(s["load"] * ROOM - there[name]) <= there[name] / 10
                       for name, s in self.lab.ledger().items())
        await self.lab.until(right, "the ledger is right")
        took = time.monotonic() - began
        await self.lab.until(lambda: sum(self.per_server().values()) == sum(self.truth().values()), "to the last one")
        return took

    def per_server(self):
        return {name: s["inflight"] for name, s in self.lab.ledger().items()}

    async def all_end_well(self, streams, held):
        await asyncio.to_thread(self.lab.hurry)
        self.assert_all_good(await asyncio.gather(*streams, *held))
        await self.assert_empties()

    def test_killed_and_started_again(self):
        self.start()
        asyncio.run(self.killed())

    async def killed(self):
        lab = self.lab
        streams, held = await self.fill_up()
        await asyncio.to_thread(written, lab)
        lab.agent.child.kill()
        lab.agent.child.wait()
        await lab.until(lambda: sum(self.truth().values()) == SERVERS * ROOM + HELD,
                        "those that were held have fallen back")
        await asyncio.to_thread(lab.start_agent)
        found = await asyncio.to_thread(lab.logged, NEWS)
        self.assertEqual((str(SERVERS * ROOM), "1", "0"), found.groups())
        took = await self.ledger_is_right()
        print(f"{SERVERS * ROOM} streams taken up, {HELD} that fell back charged "
              f"{took:.2f} s after the start", end=" ", flush=True)
        self.assertEqual(SERVERS * ROOM + HELD, sum(self.per_server().values()))
        await self.all_end_well(streams, held)

    def test_stopped_and_started_again(self):
        self.start()
        asyncio.run(self.stopped())

    async def stopped(self):
        lab = self.lab
        streams, _ = await self.fill_up(held=0)
        lab.agent.send(signal.SIGTERM)
        await asyncio.to_thread(lab.agent.child.wait, 60 * PATIENCE)
        self.assertEqual(0, lab.agent.child.returncode)
        await asyncio.to_thread(lab.start_agent)
        self.assertEqual({name: ROOM for name in lab.fleet}, self.per_server())
        await self.all_end_well(streams, [])

    def test_upgraded(self):
        self.start()
        asyncio.run(self.upgraded())

    async def upgraded(self):
        lab = self.lab
        streams, held = await self.fill_up()
        self.assertEqual(0, await asyncio.to_thread(upgrade, lab))
        found = await asyncio.to_thread(lab.logged, r"upgrade: " + NEWS)
        self.assertEqual((str(SERVERS * ROOM + HELD), "1", "0"), found.groups())
        took = await self.ledger_is_right()
        print(f"right {took:.2f} s after the upgrade", end=" ", flush=True)
        self.assertEqual(SERVERS * ROOM + HELD, sum(self.per_server().values()))
        await self.all_end_well(streams, held)
        self.assertEqual(SERVERS * ROOM + HELD, lab.end_lines("closed"))
        self.assertEqual({("fallback", "draining")},
                         {(a.result().verdict, a.result().headers.get("x-slo-reason"))
                          for a in held})


class OneServer(unittest.TestCase):
    """Straight to an agent, whose only server has room for one request."""

    def make(self, **kw):
        self.lab = AgentAlone(room=1, fleet={"l20-1": "l20"}, **kw)
        self.addCleanup(lambda: self.lab.__exit__(None))

    def connect(self):
        peer = self.lab.peer()
        self.addCleanup(peer.close)
        return peer

    def route(self, request_id="r1"):
        """A request takes the server; the connection that asked."""
        peer = self.connect()
        self.assertEqual("route", peer.route(request_id)["verdict"])
        return peer

    def end(self, request_id="r1"):
        """It ends, and leaves the agent idle."""
        self.lab.ends(request_id)
        self.lab.until(self.lab.idle, "its end")

    def route_and_end(self):
        self.route()
        self.end()


class Upgrade(OneServer):
    def start(self):
        self.make()
        self.lab.start()

    def test_what_was_sent_before_is_answered_and_what_comes_after_is_not_refused(self):
        self.start()
        lab = self.lab
        peer = self.route()
        peer.ask("r2")
        lab.until(lambda: lab.queued() == 1, "r2 waits")
        self.assertEqual(0, upgrade(lab))
        answer = peer.answer()
        self.assertEqual(("fallback", "draining"), (answer["verdict"], answer["reason"]))
        lab.until(lambda: lab.dispatched() == 2, "both are in the new ledger")
        new = self.connect()
        new.ask("r3")
        lab.until(lambda: lab.queued() == 1, "there is no room for a third one")
        lab.udp(end_line("r1"))
        lab.ends("r2")
        self.assertEqual("route", new.answer()["verdict"])
        self.end("r3")

    def test_a_successor_that_does_not_start_changes_nothing(self):
        self.start()
        lab = self.lab
        lab.config_file.write_text("{")
        lab.agent.send(signal.SIGUSR2)
        lab.logged(r"upgrade: the new program (ended with status 1|did not start); this process goes on")
        lab.logged("reload-failed: the new program that SIGUSR2 started did not come to serve")
        self.route_and_end()

    def test_a_successor_may_listen_elsewhere(self):
        self.start()
        lab = self.lab
        before, lab.spop = lab.spop, lab.ports.take()
        lab.ports.release()
        lab.config["spop"]["listen"] = [f"127.0.0.1:{lab.spop}"]
        lab.config_file.write_text(json.dumps(lab.config))
        self.assertEqual(0, upgrade(lab))
        lab.logged(rf"socket of 127\.0\.0\.1:{before} serves no configured address")
        self.route_and_end()

    def test_a_reload_of_one_that_says_goodbye_changes_nothing(self):
        def both(conf):
            with_snapshot(conf)
            conf["recorder"] = {"file": "decisions.rec"}
        self.make(config=both)
        lab = self.lab
        lab.start()
        peer = self.connect()  # which does not say goodbye: the old process waits for it
        self.assertEqual("route", peer.route("r1")["verdict"])
        old = lab.agent
        old.send(signal.SIGUSR2)
        found = lab.logged(r"upgrade: started \S+ as pid (\d+)")
        lab.logged("upgrade: handing over")
        old.send(signal.SIGHUP)
        self.assertEqual(0, old.child.wait(60 * PATIENCE))
        lab.agent = Successor(int(found[1]), old)
        lab.until(lab.agent_ready, "the new process serves")
        new = self.connect()
        new.ask("r2")
        lab.ends("r1")
        self.assertEqual("route", new.answer()["verdict"])
        lab.until(lambda: lab.counter("recorder_records_total") > 0, "records of the new one")
        self.assertEqual(2, len(list(lab.dir.glob("decisions.rec*"))))

    def test_the_control_socket_goes_to_the_successor(self):
        def controlled(conf):
            with_snapshot(conf)
            conf["control"] = {"listen": "unix:ctl.sock"}

        self.make(config=controlled)
        lab = self.lab
        lab.start()

        def pid():
            ask = [lab.build / "slo-ctl", "-s", lab.dir / "ctl.sock", "show", "info", "json"]
            return json.loads(subprocess.run(ask, capture_output=True, check=True).stdout)["Pid"]

        before = pid()
        self.assertEqual(0, upgrade(lab))
        lab.until(lab.agent_ready, "it serves")
        self.assertNotEqual(before, pid())
        self.assertEqual(lab.state()["pid"], pid())

    def test_a_successor_may_have_a_successor(self):
        self.start()
        for _ in range(3):
            self.assertEqual(0, upgrade(self.lab))
            self.lab.until(self.lab.agent_ready, "it serves")


# What SIGUSR2 starts in these tests.
NEVER_READY = "#!/bin/sh\nexec sleep 600"
DEAF_WHEN_READY = f"""#!{sys.executable}
import os, socket, time
old = socket.socket(fileno=int(os.environ["SLO_SPOA_TAKEOVER"].split()[2]))
old.shutdown(socket.SHUT_RD)
old.send(b"r")
time.sleep(600)"""
OUTLIVES = f"""#!{sys.executable}
import os, select, sys
old = int(os.environ["SLO_SPOA_TAKEOVER"].split()[2])
select.select([old], [], [])
os.execv("%s", sys.argv)"""


class BrokenUpgrade(OneServer):
    """One of the two is killed, or told to stop, before the other has the word."""

    def start(self, successor):
        self.make(config=with_snapshot)
        lab = self.lab
        program, lab.build = (lab.build / "slo-spoa").resolve(), lab.dir / "bin"
        lab.build.mkdir()
        (lab.build / "slo-spoa").symlink_to(program)
        lab.start()
        self.peer = self.route()
        written(lab)
        script = lab.dir / "script"
        script.write_text(successor.replace("%s", str(program)) + "\n")
        script.chmod(0o755)
        script.rename(lab.build / "slo-spoa")

    def upgrade(self):
        self.lab.agent.send(signal.SIGUSR2)
        pid = int(self.lab.logged(r"upgrade: started \S+ as pid (\d+)")[1])
        return Successor(pid, self.lab.agent)

    def stopped(self):
        """The status that the agent ends with."""
        return self.lab.agent.child.wait(60 * PATIENCE)

    def test_a_stop_stops_the_successor_too(self):
        self.start(NEVER_READY)
        self.peer.ask("r2")
        self.lab.until(lambda: self.lab.queued() == 1, "r2 waits")
        successor = self.upgrade()
        self.lab.agent.send(signal.SIGTERM)
        self.lab.until(lambda: not successor.alive(), "its end")
        self.lab.ends("r1")
        self.assertEqual("route", self.peer.answer()["verdict"])
        self.assertEqual(0, self.stopped())

    def test_what_the_killed_one_knew_comes_from_the_file(self):
        self.start(OUTLIVES)
        successor = self.upgrade()
        self.lab.agent.child.kill()
        self.stopped()
        self.lab.agent = successor
        self.lab.logged(r"the old process is gone without a word\n.*" + NEWS)
        self.lab.until(self.lab.agent_ready, "it serves")
        self.assertEqual(1, self.lab.dispatched())
        self.end()

    def test_without_a_listener_the_last_word_is_a_snapshot_and_a_failure(self):
        self.start(DEAF_WHEN_READY)
        file = self.lab.dir / "state.snap"
        file.unlink()
        successor = self.upgrade()
        self.addCleanup(lambda: os.kill(successor.pid, signal.SIGKILL))
        self.assertEqual(1, self.stopped())
        self.assertIn("upgrade: the new program does not listen", self.lab.agent.text())
        self.assertTrue(file.exists())


class Snapshots(OneServer):
    """What may be wrong with the file; the agent starts all the same."""

    def prepare(self):
        self.make(config=with_snapshot)
        self.file = self.lab.dir / "state.snap"

    def again(self):
        lab = self.lab
        lab.agent.child.kill()
        lab.agent.child.wait()
        (lab.dir / "agent.log").write_text("")
        lab.start_agent()

    def test_none_yet(self):
        self.prepare()
        self.lab.start()
        self.lab.logged(r"snapshot \S+: No such file or directory, so this start knows nothing")

    def one_lease(self):
        self.prepare()
        self.lab.start()
        self.route()
        written(self.lab)

    def test_taken_up_and_released_by_its_end_line(self):
        self.one_lease()
        self.again()
        self.lab.logged(NEWS)
        self.assertEqual(1, self.lab.dispatched())
        self.end()
        self.assertEqual(1, self.lab.end_lines("closed"))

    def test_that_others_may_have_written_is_not_taken_up(self):
        self.one_lease()
        self.file.chmod(0o666)
        self.again()
        self.lab.logged(r"state\.snap: another user owns it or may write to it, so this start knows "
                        "nothing of before")
        self.assertEqual(0, self.lab.dispatched())

    def test_torn(self):
        self.one_lease()
        self.lab.agent.child.kill()
        self.lab.agent.child.wait()
        self.file.write_bytes(self.file.read_bytes()[:-1])
        self.again()
        self.lab.logged(r"state\.snap: its length is wrong, so this start knows nothing of before")
        self.assertEqual(0, self.lab.dispatched())

    def test_of_another_fleet(self):
        self.one_lease()
        deployments = self.lab.config["models"][MODEL]["deployments"]
        deployments["l20"]["servers"] = ["l20-9"]
        self.lab.config_file.write_text(json.dumps(self.lab.config))
        self.again()
        found = self.lab.logged(NEWS)
        self.assertEqual(("0", "1", "1"), found.groups())

    def test_too_old(self):
        self.one_lease()
        self.lab.config["snapshot"]["max_age"] = "0"
        self.lab.config_file.write_text(json.dumps(self.lab.config))
        self.again()
        self.lab.logged(r"state\.snap: it is \d+ s old, so this start knows nothing of before")
        self.assertEqual(0, self.lab.dispatched())

    def test_what_lies_in_the_place_of_the_new_file_holds_up_nobody(self):
        self.prepare()
        os.mkfifo(self.lab.dir / "state.snap.new")
        self.lab.start()
        self.lab.until(self.file.exists, "a snapshot")

    def test_what_cannot_be_put_in_its_place_does_not_stay(self):
        self.prepare()
        self.file.mkdir()
        self.lab.start()
        self.lab.logged(r"state\.snap cannot be written: Is a directory")
        self.lab.stop()
        self.assertFalse((self.lab.dir / "state.snap.new").exists())

    def test_a_folder_that_cannot_be_written_is_told(self):
        self.prepare()
        self.lab.config["snapshot"]["file"] = "nowhere/state.snap"
        self.lab.config_file.write_text(json.dumps(self.lab.config))
        self.lab.start()
        self.lab.logged(r"snapshot \S+nowhere/state\.snap cannot be written: No such file")
        self.lab.logged(r"a restart forgets what runs; its folder must exist")


class SharedSnapshot(unittest.TestCase):
    def test_two_agents_with_one_file_are_told(self):
        labs = [AgentAlone(config=with_snapshot) for _ in range(2)]
        for lab in labs:
            self.addCleanup(lab.__exit__, None)
        config = json.loads(labs[1].config_file.read_text())
        config["snapshot"]["file"] = str(labs[0].dir / "state.snap")
        labs[1].config_file.write_text(json.dumps(config))
        labs[0].start()
        written(labs[0])
        self.assertNotIn("snapshot", {w["code"] for w in labs[0].state()["warnings"]})
        labs[1].start()
        for lab in labs:
            lab.until(lambda lab=lab: any("another process writes snapshot" in w["text"]
                                          for w in lab.state()["warnings"] if w["code"] == "snapshot"), "it is told")


if __name__ == "__main__":
    unittest.main()
