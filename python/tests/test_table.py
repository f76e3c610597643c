"""Tests of the reading of tables: what is not of the wanted form is refused, with a message that says where."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from mlgym_grader import Invalid, table

COLUMNS = ("id", "value")


class TableTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "submission.csv"

    def write(self, text: str | bytes) -> Path:
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return self.path

    def read(self, text: str | bytes, max_rows: int = 10) -> list[tuple[str, ...]]:
        return table.read_table(self.write(text), COLUMNS, max_rows)

    def by_id(self, text: str, expected=("1", "2"), optional=()) -> dict[str, str]:
        return table.by_id(self.write(text), COLUMNS, expected, optional)


class ReadTableTest(TableTest):
    def test_what_is_read(self) -> None:
        for name, text, want in (
            ("plain", "id,value\n1,a\n2,b\n", [("1", "a"), ("2", "b")]),
            ("without a last line end", "id,value\n1,a", [("1", "a")]),
            ("line ends of Windows", "id,value\r\n1,a\r\n", [("1", "a")]),
            ("line ends of old Macs", "id,value\r1,a\r", [("1", "a")]),
            ("quotes", '"id","value"\n"1","a"\n', [("1", "a")]),
            ("a comma and a quote in a cell", 'id,value\n1,"a, ""b"""\n', [("1", 'a, "b"')]),
            ("a line end in a quoted cell", 'id,value\n1,"a\nb"\n', [("1", "a\nb")]),
            ("empty lines", "id,value\n\n1,a\n\n\n", [("1", "a")]),
            ("header alone", "id,value\n", []),
            ("empty cells", "id,value\n,\n", [("", "")]),
            ("blanks stay", "id,value\n 1 ,a \n", [(" 1 ", "a ")]),
            ("other letters", "id,value\n1,ä€\U0001f600\n", [("1", "ä€\U0001f600")]),
            # Python's splitlines would end a line at each of these.
            *(
                (f"{c!r} ends no line", f"id,value\n1,a{c}b\n", [("1", f"a{c}b")])
                for c in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
            ),
        ):
            with self.subTest(name):
                self.assertEqual(self.read(text), want)

    def test_what_is_refused(self) -> None:
        for name, text, message in (
            ("no byte", b"", "submission.csv is empty; its first line has to be id,value"),
            ("nothing but blanks", b" \n\t\r\n", "is empty"),
            ("Latin-1", "id,value\n1,ä\n".encode("latin-1"), "not UTF-8 text: see byte 11"),
            ("UTF-16", "id,value\n1,a\n".encode("utf-16"), "not UTF-8 text: see byte 0"),
            ("half a character", b"id,value\n1,\xe2\x82", "not UTF-8 text: see byte 11"),
            ("an encoded surrogate", b"id,value\n1,\xed\xa0\x80\n", "not UTF-8 text"),
            ("a picture", b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8 text: see byte 0"),
            ("a byte-order mark", b"\xef\xbb\xbfid,value\n1,a\n", "begins with a byte-order mark"),
            ("a zero byte", b"id,value\n1,a\0\n", "zero byte at offset 12"),
            ("an archive", b"PK\3\4\0\0", "zero byte at offset 4"),
            ("no header", "1,a\n2,b\n", "the first line has to be id,value, not '1,a'"),
            ("an empty line above the header", "\nid,value\n", "the first line has to be id,value, not ''"),
            ("another order of columns", "value,id\n", "not 'value,id'"),
            ("a column of the index", ",id,value\n", "not ',id,value'"),
            ("a column twice", "id,value,value\n1,a,b\n", "not 'id,value,value'"),
            ("a column too few", "id\n1\n", "not 'id'"),
            ("capitals", "ID,Value\n1,a\n", "not 'ID,Value'"),
            ("blanks in the header", "id, value\n1,a\n", "not 'id, value'"),
            ("semicolons", "id;value\n1;a\n", "not 'id;value'"),
            ("tabs", "id\tvalue\n1\ta\n", "not 'id\\\\tvalue'"),
            ("JSON", '{"1": "a"}', "the first line has to be"),
            ("a form feed in the header", "id,value\f\n1,a\n", "the first line has to be"),
            ("a cell too many", "id,value\n1,a\n2,b,c\n", "line 3: want 2 cells, got 3"),
            ("a cell too few", "id,value\n1\n", "line 2: want 2 cells, got 1"),
            ("a blank line that is not empty", "id,value\n \n", "line 2: want 2 cells, got 1"),
            ("a quote that is never closed", 'id,value\n1,"a\n', "line 2: unexpected end of data"),
            ("text behind a quote", 'id,value\n1,"a"b\n', "line 2: "),
            ("a cell that is too long", "id,value\n1," + "a" * (table.MAX_CELL + 1), "line 2: field larger"),
            ("too many rows", "id,value\n" + "1,a\n" * 11, "more than 10 rows below its header"),
        ):
            with self.subTest(name), self.assertRaisesRegex(Invalid, message):
                self.read(text)

    def test_a_message_is_short_and_printable(self) -> None:
        with self.assertRaises(Invalid) as caught:
            self.read("\x1b[2J" + "ä" * 5000 + "\n")
        message = str(caught.exception)
        self.assertLess(len(message), 500)
        self.assertTrue(message.replace("…", "").isascii() and message.replace("…", "").isprintable(), message)


class ByIdTest(TableTest):
    def test_any_order(self) -> None:
        for text in ("id,value\n1,a\n2,b\n", "id,value\n2,b\n1,a\n"):
            self.assertEqual(self.by_id(text), {"1": "a", "2": "b"})

    def test_optional_ids_may_be_there(self) -> None:
        self.assertEqual(self.by_id("id,value\n1,a\n3,c\n2,b\n", optional=("3", "4")), {"1": "a", "2": "b", "3": "c"})
        self.assertEqual(self.by_id("id,value\n1,a\n2,b\n", optional=("3", "4")), {"1": "a", "2": "b"})

    def test_what_is_refused(self) -> None:
        for name, text, message in (
            ("an id missing", "id,value\n1,a\n", "1 of 2 ids are missing: 2"),
            ("all of them missing", "id,value\n", "2 of 2 ids are missing: 1, 2"),
            ("an id of nobody", "id,value\n1,a\n3,b\n", "row 3: '3' is not one of the ids"),
            ("an id twice", "id,value\n1,a\n1,a\n", "row 3: the id '1' stands twice"),
            ("an id twice, with another value", "id,value\n1,a\n1,b\n", "row 3: the id '1' stands twice"),
            ("a row too many", "id,value\n1,a\n2,b\n2,b\n", "more than 2 rows"),
            ("no id", "id,value\n,a\n2,b\n", "row 2: '' is not one of the ids"),
            ("zeros before it", "id,value\n01,a\n2,b\n", "row 2: '01' is not"),
            ("a fraction", "id,value\n1.0,a\n2,b\n", "row 2: '1.0' is not"),
            ("a blank", "id,value\n 1,a\n2,b\n", "row 2: ' 1' is not"),
            ("digits of another script", "id,value\n\uff11,a\n2,b\n", r"row 2: '\\uff11' is not"),
            ("a line end in it", 'id,value\n"1\n",a\n2,b\n', r"row 2: '1\\n' is not"),
        ):
            with self.subTest(name), self.assertRaisesRegex(Invalid, message):
                self.by_id(text)

    def test_an_optional_id_twice_is_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, "the id '3' stands twice"):
            self.by_id("id,value\n1,a\n3,c\n3,c\n2,b\n", optional=("3", "4"))

    def test_only_some_missing_ids_are_named(self) -> None:
        with self.assertRaises(Invalid) as caught:
            self.by_id("id,value\n", expected=[str(i) for i in range(10, 1000)])
        self.assertIn("990 of 990 ids are missing: 10, 100, 101, 102, 103 …", str(caught.exception))


class CellTest(unittest.TestCase):
    def test_integers(self) -> None:
        for text, want in (("0", 0), ("7", 7), ("-3", -3), ("10", 10)):
            self.assertEqual(table.integer(text, -5, 10, "x"), want)
        for text in (
            "11", "-6", "-0", "+1", "01", "1.0", "1e0", "1_0", " 1", "1 ", "1\n", "", "-", "a", "nan", "inf", "True",
            "0x1", "\uff11", "\u00b2", "\u0661", "9" * 18, "9" * 5000, "1,0", "1;",
        ):  # fmt: skip
            with self.assertRaisesRegex(Invalid, "^x: want an integer from -5 to 10, got '", msg=repr(text)):
                table.integer(text, -5, 10, "x")

    def test_decimals(self) -> None:
        for text, want in (
            ("1", 1.0), ("1.5", 1.5), ("1.", 1.0), ("00012", 12.0), ("1e3", 1000.0), ("1E+3", 1000.0), ("25e-1", 2.5),
            ("123456.78901234567", 123456.78901234567), ("1e6", 1e6), (repr(1 / 3 + 1), 1 / 3 + 1),
        ):  # fmt: skip
            self.assertEqual(table.decimal(text, 1, 1e6, "x"), want, text)
        for text in (
            "0", "0.999", "1000000.1", "1e7", "1e400", "1e999", "1e9999", "-1", "nan", "NaN", "inf", "-inf", "Infinity",
            "", "-", ".", ".5", "e5", "1e", "1e+", "+1", " 1", "1 ", "1\n", "1_000", "1,000", "1.000.000", "$100",
            "100 USD", "0x1p3", "0x10", "1d3", "True", "None", "\uff11", "\u00b2", "1j", "1/2", "9" * 21, "9" * 5000,
            "1." + "0" * 21,
        ):  # fmt: skip
            with self.assertRaisesRegex(Invalid, r"^x: want a decimal number from 1 to 1e\+06, got '", msg=repr(text)):
                table.decimal(text, 1, 1e6, "x")

    def test_every_float_that_python_or_numpy_writes_is_read(self) -> None:
        for value in (0.0, 5e-324, 1.7976931348623157e308, 0.00012345678901234567, 1e22, 123456789012345680.0, -2.5e-7):
            self.assertEqual(table.decimal(repr(value), -1.8e308, 1.7976931348623157e308, "x"), value)

    def test_a_bound_keeps_infinity_out(self) -> None:
        for text in ("1e400", "-1e400"):
            with self.assertRaises(Invalid):
                table.decimal(text, -1e308, 1e308, "x")

    def test_no_number_is_infinite_even_without_bounds(self) -> None:
        for text in ("1e400", "-1e400"):
            with self.assertRaises(Invalid):
                table.decimal(text, float("-inf"), float("inf"), "x")


class TruthTest(TableTest):
    def test_our_own_tables(self) -> None:
        self.assertEqual(table.truth(self.write("id,value\n1,a\n2,b\n"), COLUMNS), {"1": "a", "2": "b"})
        for text in ("", "id,value\n", "value,id\na,1\n", "id,value\n1\n", "id,value\n1,a,b\n", "id,value\n1,a\n1,b\n"):
            with self.assertRaises(ValueError, msg=repr(text)) as caught:
                table.truth(self.write(text), COLUMNS)
            self.assertNotIsInstance(caught.exception, Invalid)

    def test_what_each_grading_asks_for(self) -> None:
        validation, test = {"1": "a"}, {"2": "b"}
        for mode, kind, scored, expected, optional in (
            ("hardened", "validate", validation, {"1", "2"}, set()),
            ("hardened", "submit", test, {"1", "2"}, set()),
            ("published", "validate", test, {"2"}, {"1"}),
            ("published", "submit", test, {"2"}, {"1"}),
        ):
            got = table.asked(SimpleNamespace(mode=mode, kind=kind), validation, test)
            self.assertEqual((got[0], set(got[1]), set(got[2])), (scored, expected, optional))


if __name__ == "__main__":
    unittest.main()
