"""`agentreg query`: what it prints, what it refuses, and that it changes nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentreg.cli import main

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {} FROM c"


class Query:
    """The command, on one file."""

    def __init__(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = file
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["query", "--database", str(self.file), *arguments])
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def rows(self, statement: str) -> Any:
        code, out, err = self.run("--json", statement)
        assert (code, err) == (0, "")
        return json.loads(out)

    def refusal(self, statement: str) -> str:
        code, out, err = self.run(statement)
        assert (code, out) == (1, "")
        return err.removeprefix("agentreg query: error: ").rstrip("\n")


@pytest.fixture
def query(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Query:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    file = tmp_path / "agents ?#%.db"  # what an address would have to spell otherwise
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE agents (name, priority, config, picture BLOB)")
        connection.execute("CREATE INDEX by_config ON agents (config)")
        connection.execute("INSERT INTO agents VALUES ('scout', 7, '{\"tools\": [\"Bash\"]}', x'00ff')")
        connection.execute("INSERT INTO agents VALUES ('cook\x1b[31m', NULL, '{}', NULL)")
    return Query(file, capsys)


# -- what it prints -------------------------------------------------------------


def test_a_table_of_plain_text_is_printed_for_a_pipe(query: Query) -> None:
    assert query.run("SELECT name, priority FROM agents") == (
        0,
        "NAME          PRIORITY\nscout         7\ncook\\x1b[31m  NULL\n",
        "",
    )


def test_a_table_is_drawn_for_a_terminal(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")

    code, out, _ = query.run("SELECT name FROM agents")

    assert code == 0
    assert "─" in out
    assert "scout" in out


def test_json_is_a_list_of_objects_with_the_values_as_they_are(query: Query) -> None:
    assert query.rows("SELECT name, priority, picture, 1.5 AS share FROM agents") == [
        {"name": "scout", "priority": 7, "picture": "00ff", "share": 1.5},
        {"name": "cook\x1b[31m", "priority": None, "picture": None, "share": 1.5},
    ]


def test_json_of_no_rows_is_an_empty_list(query: Query) -> None:
    assert query.rows("SELECT name FROM agents WHERE 0") == []


def test_json_keeps_columns_of_the_same_name_apart_and_stays_json(query: Query) -> None:
    assert query.rows("SELECT 1 AS a, 2 AS a, 9e999 AS far") == [{"a": 1, "a:1": 2, "far": "inf"}]


def test_csv_is_read_back_as_it_was(query: Query) -> None:
    code, out, _ = query.run("--csv", "SELECT name, config, NULL AS empty, 'a\nb' AS two FROM agents")

    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert code == 0
    assert rows[0] == ["name", "config", "empty", "two"]
    assert rows[1] == ["scout", '{"tools": ["Bash"]}', "", "a\nb"]
    assert rows[2][0] == "cook\x1b[31m"


def test_bytes_that_are_no_text_are_shown_all_the_same(query: Query) -> None:
    assert query.rows("SELECT CAST(x'61ff' AS TEXT) AS odd") == [{"odd": "a\ufffd"}]


def test_at_most_as_many_rows_as_asked_for_are_printed_and_more_are_told_of(query: Query) -> None:
    code, out, err = query.run("--limit", "1", "SELECT name FROM agents")

    assert (code, out) == (0, "NAME\nscout\n")
    assert err == "the first 1 rows; there are more: --limit 0 prints all\n"
    assert query.run("--limit", "2", "SELECT name FROM agents")[2] == ""
    assert len(query.run("--limit", "0", ENDLESS.format("x") + " LIMIT 1500")[1].splitlines()) == 1501


def test_a_table_ends_after_a_thousand_rows_by_itself(query: Query) -> None:
    code, out, err = query.run(ENDLESS.format("x"))

    assert (code, len(out.splitlines())) == (0, 1001)
    assert "more" in err


def test_programs_get_every_row(query: Query) -> None:
    assert len(query.rows(ENDLESS.format("x") + " LIMIT 1500")) == 1500


def test_the_statement_may_come_on_standard_input(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"SELECT name\nFROM agents LIMIT 1;\n")))

    assert query.run("-")[:2] == (0, "NAME\nscout\n")


def test_a_statement_may_begin_with_a_comment(query: Query) -> None:
    for comment in ("-- who = there\n", "--who\n", "/* who */ "):
        assert query.run(f"{comment}SELECT name FROM agents LIMIT 1; -- done")[:2] == (0, "NAME\nscout\n")


def test_json_in_a_column_can_be_taken_apart(query: Query) -> None:
    assert query.rows("SELECT name, value FROM agents, JSON_EACH(config, '$.tools')") == [
        {"name": "scout", "value": "Bash"}
    ]


# -- what it refuses ------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("INSERT INTO agents (name) VALUES ('x')", "INSERT"),
        ("UPDATE agents SET name = 'x'", "UPDATE"),
        ("DELETE FROM agents", "DELETE"),
        ("WITH x AS (SELECT 1) DELETE FROM agents", "DELETE"),
        ("DROP TABLE agents", "DROP"),
        ("CREATE TABLE more (a)", "CREATE"),
        ("CREATE TEMP TABLE more (a)", "CREATE"),
        ("CREATE VIRTUAL TABLE more USING fts5(a)", "CREATE"),
        ("ALTER TABLE agents RENAME TO more", "ALTER"),
        ("REINDEX", "REINDEX"),
        ("ANALYZE", "CREATE"),
        ("VACUUM", "VACUUM"),
        ("VACUUM INTO 'copy.db'", "VACUUM"),
        ("ATTACH 'other.db' AS other", "ATTACH"),
        ("BEGIN IMMEDIATE", "a transaction"),
        ("SAVEPOINT here", "a SAVEPOINT"),
        ("PRAGMA query_only = 0", "PRAGMA query_only with a value"),
        ("PRAGMA user_version = 5", "PRAGMA user_version with a value"),
        ("PRAGMA journal_mode = DELETE", "PRAGMA journal_mode with a value"),
        ("PRAGMA writable_schema = 1", "PRAGMA writable_schema with a value"),
        ("PRAGMA optimize", "PRAGMA optimize"),
        ("PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint"),
        ("SELECT LOAD_EXTENSION('x')", "load_extension()"),
    ],
)
def test_whatever_would_change_something_is_refused(
    query: Query, statement: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, beside = query.file.read_bytes(), sorted(tmp_path.iterdir())

    refusal = query.refusal(statement)

    assert refusal.endswith(" is refused: a query only reads")
    assert named in refusal
    assert query.file.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == beside


def test_a_change_of_the_list_of_tables_is_refused_too(query: Query) -> None:
    before = query.file.read_bytes()

    assert "may not be modified" in query.refusal("UPDATE sqlite_master SET sql = ''")
    assert query.file.read_bytes() == before


def test_pragmas_that_only_tell_are_answered(query: Query) -> None:
    assert [row["name"] for row in query.rows("PRAGMA table_info(agents)")][:2] == ["name", "priority"]
    assert query.rows("PRAGMA user_version") == [{"user_version": 0}]
    assert query.rows("SELECT name FROM pragma_table_info('agents') LIMIT 1") == [{"name": "name"}]
    assert query.rows("EXPLAIN QUERY PLAN SELECT * FROM agents")


def test_several_statements_are_refused_and_none_is_run(query: Query) -> None:
    assert query.refusal("SELECT 1; SELECT 2").startswith("there are several statements")
    assert query.refusal("SELECT 1; DROP TABLE agents").startswith("there are several statements")


@pytest.mark.parametrize("statement", ["", "  ", "-- nothing", ";"])
def test_no_statement_at_all_is_refused(query: Query, statement: str) -> None:
    assert query.refusal(statement).startswith("there is nothing to read in it")


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("SELEC 1", 'line 1, column 1: near "SELEC": syntax error'),
        ("SELECT name FORM\nFROM agents FORM\nFORM x", 'line 3, column 1: near "FORM": syntax error'),
        ("SELECT name, FROM agents", 'line 1, column 14: near "FROM": syntax error'),
        ("SELECT (1, (2)", "line 1, column 15: incomplete input"),
        ("SELECT 1 WHERE ')' = ')')", 'line 1, column 25: near ")": syntax error'),
        ("SELECT nam FROM agents", "line 1, column 8: no such column: nam"),
        ("SELECT nam\nFROM agents ORDER BY nam", "no such column: nam"),
        ("SELECT nam(1)", "line 1, column 8: no such function: nam"),
        ("SELECT *\nFROM agent", "line 2, column 6: no such table: agent; there are agents"),
        ("SELECT 'it", 'line 1, column 8: unrecognized token: "\'it"'),
        ("SELECT JSON_EXTRACT('{', '$.a')", "malformed JSON"),
    ],
)
def test_what_sqlite_does_not_understand_is_told_with_its_place(query: Query, statement: str, refusal: str) -> None:
    assert query.refusal(statement) == refusal


def test_bytes_that_are_no_utf_8_are_refused(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    assert query.refusal("SELECT '\udcff'") == "the statement is no UTF-8"

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"SELECT '\xff'")))
    assert query.run("-")[0] == 2


# -- bad usage ------------------------------------------------------------------


def test_without_a_database_it_says_how_there_comes_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTREG_WORKSPACE", str(tmp_path / "nothing"))

    assert main(["query", "SELECT 1"]) == 2

    told = capsys.readouterr().err
    assert str(tmp_path / "nothing" / "data" / "agent-registry.db") in told
    assert "agentreg serve" in told
    assert not (tmp_path / "nothing").exists()


def test_a_file_that_is_no_database_is_told_as_that(query: Query) -> None:
    query.file.write_text("This is a letter and no database. " * 100)

    code, _, err = query.run("SELECT 1")

    assert (code, "file is not a database" in err) == (2, True)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [[], ["--json", "--csv", "SELECT 1"], ["--limit", "-1", "SELECT 1"], ["--workspace", "x", "SELECT 1"], ["a", "b"]],
)
def test_bad_usage_exits_with_2(query: Query, arguments: list[str]) -> None:
    assert query.run(*arguments)[0] == 2


# -- beside a writer ------------------------------------------------------------


def test_a_writer_never_waits_for_a_statement_that_takes_long(query: Query) -> None:
    """The file has no write-ahead log: who reads it keeps everybody from writing."""
    from agentreg.cli.query.database import reading

    with reading(query.file) as database:
        with closing(sqlite3.connect(query.file, timeout=0)) as writer, writer:
            writer.execute("INSERT INTO agents (name) VALUES ('late')")

        assert len(database.ask("SELECT * FROM agents").rows) == 2


def test_a_write_ahead_log_is_read_where_it_is(query: Query) -> None:
    with closing(sqlite3.connect(query.file, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("INSERT INTO agents (name) VALUES ('late')")

        assert len(query.rows("SELECT * FROM agents")) == 3


def test_a_writer_in_the_middle_is_waited_for(query: Query) -> None:
    with closing(sqlite3.connect(query.file, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("INSERT INTO agents (name) VALUES ('late')")
        done = threading.Timer(0.2, writer.execute, ["COMMIT"])
        done.start()

        rows = query.rows("SELECT * FROM agents")
        done.join()

    assert len(rows) == 3


@pytest.fixture
def endless(query: Query) -> Iterator[subprocess.Popen[str]]:
    program = "import sys; from agentreg.cli import main; print('now', flush=True); sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", program, "query", "--database", str(query.file), ENDLESS.format("sum(x)")]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="a Ctrl-C is sent otherwise there")
@pytest.mark.timeout(30)
def test_ctrl_c_ends_a_statement_that_has_no_end(endless: subprocess.Popen[str]) -> None:
    assert endless.stdout is not None
    endless.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        endless.wait(1.0)  # it is at it

    endless.send_signal(signal.SIGINT)

    out, err = endless.communicate()
    assert (endless.returncode, out, err) == (130, "", "agentreg query: interrupted\n")
