"""Statements in Lean that look different and are the same, and those that look alike and are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.tasks.generation.documents import Document
from calibrant.tasks.generation.lean import canonical, same_statement
from calibrant.tasks.generation.scoring import scorer_named

SQUARES = "theorem sq (x : ℝ) (h : x > 0) : x ^ 2 > 0 := by positivity"

SAME = [
    ("theorem a (n : ℕ) : n + 0 = n := by simp", "theorem other (m : ℕ) : m + 0 = m := sorry"),
    ("theorem a (n : Nat) : n+0=n", "theorem a (n : ℕ) : n + 0 = n"),
    (SQUARES, "theorem sq (y : ℝ) (hy : y > 0) :\n    y^2 > 0 := sorry"),
    (SQUARES, "example : ∀ x : ℝ, x > 0 → x ^ 2 > 0"),
    (SQUARES, "example : ∀ x > 0, x ^ 2 > 0".replace("∀ x > 0,", "∀ (x : ℝ), x > 0 ->")),
    ("theorem t (a b : ℤ) : a + b = b + a", "theorem t (a : ℤ) (b : ℤ) : a + b = b + a"),
    ("theorem t (a b : ℤ) : a + b = b + a", "theorem t {a b : ℤ} : a + b = b + a"),
    (
        "theorem t : ∀ x y : ℝ, x < y → ∃ z, x < z ∧ z < y",
        "lemma u (a b : ℝ) (h : a < b) : ∃ c, a < c ∧ c < b",
    ),
    ("theorem t : ∃ x > 0, x < 1", "theorem t : ∃ y, y > 0 ∧ y < 1"),
    ("theorem t : ∀ x ∈ S, p x", "theorem t : ∀ y, y ∈ S → p y"),
    ("theorem t : ∑ i in s, f i = 0", "theorem t : ∑ k ∈ s, f k = 0"),
    ("theorem t : (fun x => x + 1) = g", "theorem t : (λ y ↦ y + 1) = g"),
    ("theorem t : {x : ℝ | x > 0} = s", "theorem t : {y : ℝ | y > 0} = s"),
    ("theorem t (h : p → q) : r", "theorem t : (p → q) → r"),
    ("theorem t : (p ∧ q) → r", "theorem t : p /\\ q -> r"),
    ("theorem t : ((a + b)) = c", "theorem t : (a + b) = c"),
    ("theorem t [Group G] (x : G) : x = x", "theorem t [Group G] (y : G) : y = y"),
    ("Here it is:\n```lean\ntheorem t : p := by\n  trivial\n```\nDone.", "theorem t : p"),
    ("theorem t : p -- a remark\n:= sorry", "/- a\nremark -/ theorem t : p"),
    ("theorem t (f : ℕ → ℕ) (h : f.Injective) : p f", "theorem t (g : ℕ → ℕ) : g.Injective → p g"),
    ("∀ x, p x", "forall y, p y"),
]

OTHER = [
    (SQUARES, "theorem sq (x : ℝ) (h : x ≥ 0) : x ^ 2 > 0"),
    (SQUARES, "theorem sq (x : ℝ) : x ^ 2 > 0"),
    (SQUARES, "theorem sq (x : ℤ) (h : x > 0) : x ^ 2 > 0"),
    ("theorem t (a b : ℤ) : a - b = c", "theorem t (a b : ℤ) : b - a = c"),
    ("theorem t : ∀ x, ∃ y, x < y", "theorem t : ∃ y, ∀ x, x < y"),
    ("theorem t : ∀ x, ∃ y, x < y", "theorem t : ∀ x, ∃ y, y < x"),
    ("theorem t : a * (b + c) = d", "theorem t : a * b + c = d"),
    ("theorem t : (p → q) → r", "theorem t : p → q → r"),
    ("theorem t : p ∧ q → r", "theorem t : p ∧ (q → r)"),
    ("theorem t (x y : ℝ) (h : x < y) : p x", "theorem t (x y : ℝ) (h : x < y) : p y"),
    ("theorem t : ∃ x, p x", "theorem t : ∃! x, p x"),
    ("theorem t : ∃ x > 0, p x", "theorem t : ∀ x > 0, p x"),
    ("theorem t : {x | p x} = s", "theorem t : {x | q x} = s"),
    ("theorem t : ∀ x, (∃ x, p x) → q x", "theorem t : ∀ x, (∃ y, p x) → q x"),
    ("theorem t (p q : Prop) : p ↔ q", "theorem t (p q : Prop) : p → q"),
    ("", "theorem t : p"),
    ("theorem t : (p", "theorem t : p"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_spaces_and_notation_do_not_matter(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)
    assert same_statement(one, other)
    assert same_statement(other, one)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_statement_is_another(one: str, other: str) -> None:
    assert not same_statement(one, other)


@given(st.permutations(["a", "b", "c", "x₁", "h'"]))
def test_any_names_will_do(names: list[str]) -> None:
    one, two, three, four, five = names
    text = (
        f"theorem t ({one} {two} : ℝ) ({three} : {one} < {two}) : ∃ {four}, {one} < {four} ∧ "
        f"∀ {five} > {four}, {two} ≤ {five}"
    )
    usual = "theorem t (a b : ℝ) (h : a < b) : ∃ m, a < m ∧ ∀ z > m, b ≤ z"
    assert canonical(text) == canonical(usual)


@given(st.text(alphabet="(){}[]∀∃λ:,→x y∈|=.#\\/-0", max_size=40))
def test_anything_is_read(text: str) -> None:
    assert canonical(text) == canonical(text + " ")


def test_answers_are_compared_by_it() -> None:
    scorer = scorer_named("lean", None, None)
    assert scorer is not None
    document = Document("a", prompt="state it", answer=SQUARES)
    right = "<think>hm (</think>```lean\nlemma z (t : ℝ) (ht : t > 0) : t ^ 2 > 0 := by\n  sorry\n```"
    assert scorer([document, document], [right, "theorem z : True"]) == [1.0, 0.0]
