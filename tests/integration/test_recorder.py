"""Recordings of the real agent under load: each replays to the same decisions, byte for byte."""
import collections
import json
import os
import pathlib
import resource
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import scaled  # noqa: E402
from recorder_lab import RecorderLab, drive, played, recorded  # noqa: E402

REQUESTS = scaled(6000, 4000)  # fewer make no three files
DISK = 8192  # bytes, for each file


class Recorder(unittest.TestCase):
    def start(self, **kw):
        self.lab = RecorderLab(**kw)
        self.addCleanup(lambda: self.lab.__exit__(None))
        self.lab.start()
        return self.lab

    def stop_agent(self):
        self.lab.stop_agent()
        self.lab.agent = None

    def test_load_while_the_fleet_changes(self):
        lab = self.start()
        sent = drive(lab, REQUESTS)
        lab.until(lambda: lab.counter("recorder_records_total") > 0, "records")
        files = lab.counter("recorder_files_total")
        self.assertEqual(0, lab.counter("recorder_lost_records_total"))
        self.stop_agent()
        paths = lab.recordings()
        self.assertEqual(files, len(paths))
        self.assertGreater(len(paths), 2)
        self.assertEqual([], list(lab.dir.glob("*.new")))
        decisions = [d for path in paths for d in played(lab, path)]
        verdicts = collections.Counter(d["verdict"] for d in decisions)
        waiting = verdicts.pop("queued", 0)  # told again at the begin of the next file
        # Who left while it waited got no answer; all others got one.
        self.assertLessEqual(sum(verdicts.values()), sent)
        self.assertGreater(sum(verdicts.values()), sent * 0.5)
        self.assertEqual({"route", "fallback", "reject", "pass"}, set(verdicts), waiting)
        self.compared(paths)

    def compared(self, paths):
        for path in paths:
            code, table, said = self.lab.replay("-s", "slo-pack-load", path)
            self.assertEqual((0, ""), (code, said))
            rows = dict(line.rsplit(None, 2)[0:1] + [line.split()[-2:]]
                        for line in table.splitlines() if len(line.split()) >= 3)
            for name in ("route", "reject", "mean", "P50", "P99"):
                self.assertIn(name, rows, table)
            self.assertIn("l20-1", table)

    def test_a_new_process_keeps_the_old_recording_and_one_that_is_killed_leaves_its_own(self):
        lab = self.start()
        with lab.peer() as peer:
            self.assertEqual("route", peer.route("r1")["verdict"])
            self.stop_agent()
            lab.start_agent()
        with lab.peer() as peer:
            self.assertEqual("route", peer.route("r2")["verdict"])
            path = lab.dir / "decisions.rec"
            lab.until(lambda: lab.replay(path)[1].count("route") == 1, "it is written")
            lab.agent.child.kill()
            lab.agent.child.wait()
        self.assertEqual(["r1"], [d["id"] for d in played(lab, lab.dir / "decisions.rec.1")])
        self.assertEqual(["r2"], [d["id"] for d in played(lab, path)])
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        code, out, said = lab.replay(path)
        self.assertEqual(0, code)
        self.assertRegex(said, r"decisions\.rec: at byte \d+: note: the last record is cut off")
        path.write_bytes(whole + b"\x00")
        code, out, said = lab.replay(path)
        self.assertEqual(1, code)
        self.assertRegex(said, rf"decisions\.rec: at byte {len(whole)}: malformed record")

    def test_what_cannot_be_written_is_lost_and_told_and_nothing_else_happens(self):
        def nowhere(conf):
            recorded(conf)
            conf["recorder"]["file"] = "nowhere/decisions.rec"

        lab = self.start(config=nowhere)
        lab.logged(r"recorder: cannot open \S+nowhere/decisions\.rec: No such file")
        with lab.peer() as peer:
            self.assertEqual("route", peer.route("r1")["verdict"])
            lab.until(lambda: lab.counter("recorder_lost_records_total") > 0, "lost records")
            # What is no file, such as /dev/null, is not moved away, and holds up nobody.
            os.mkfifo(lab.dir / "pipe")
            lost = lab.counter("recorder_lost_records_total")
            lab.reload(lambda conf: conf["recorder"].update(file="pipe"))
            self.assertEqual("route", peer.route("r1b")["verdict"])
            lab.until(lambda: lab.counter("recorder_lost_records_total") > lost, "lost records")
            self.assertTrue((lab.dir / "pipe").is_fifo())
            lab.reload(lambda conf: conf["recorder"].update(file="decisions.rec"))
            self.assertEqual("route", peer.route("r2")["verdict"])
            lab.reload(lambda conf: conf.pop("recorder"))
            self.assertEqual("route", peer.route("r3")["verdict"])
        self.assertEqual(["r2"], [d["id"] for d in played(lab, lab.dir / "decisions.rec")])

    def test_a_disk_that_fills_up_stops_no_request_and_leaves_whole_records(self):
        def small_disk():
            resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))

        lab = self.lab = RecorderLab(config=lambda conf: recorded(conf, max_size="64m"))
        self.addCleanup(lambda: lab.__exit__(None))
        # Python ignores SIGXFSZ, and so does what it starts then: writes fail in the end.
        lab.popen = {"preexec_fn": small_disk, "restore_signals": False}
        lab.config["log"] = {"level": "error"}  # which has a file on the same disk
        lab.config_file.write_text(json.dumps(lab.config))
        lab.start()
        with lab.peer() as peer:
            for i in range(DISK // 20):  # a request takes 100 bytes
                self.assertEqual("route", peer.route(f"r{i}", strategy="random")["verdict"])
            lab.logged(r"recorder: cannot write \S+decisions\.rec: File too large; tried again")
            self.assertEqual("route", peer.route("last", strategy="random")["verdict"])
        self.assertGreater(lab.counter("recorder_lost_records_total"), 0)
        self.stop_agent()
        self.assertEqual([], list(lab.dir.glob("*.new")))
        paths = lab.recordings()
        self.assertIn(lab.dir / "decisions.rec", paths)
        for path in paths:
            self.assertLessEqual(path.stat().st_size, DISK)
            played(lab, path)  # no word of a record that was cut


if __name__ == "__main__":
    unittest.main()
