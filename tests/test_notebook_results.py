"""What the notebooks show is true: conditions on their variables after a solved run."""

import subprocess
import sys

import pytest
from course_rules import NOTEBOOKS, SOURCES
from test_notebooks import HANG, build, environment

ALWAYS = {
    "00": (
        "(a.grad, b.grad) == (5, 3)",
        "abs(w.grad - by_the_rule).max() < 1e-6",
        "[count(networks[M]) for M in (1, 2, 4)] == [164, 436, 980]",
    ),
    "01": (
        "largest < 1e-12",  # between forward and reverse mode
        "path[30][2] < 0.02 < path[0][2]",
        "abs(my_a.grad - a.grad) < 1e-6 and abs(my_b.grad - b.grad) < 1e-6",
    ),
    "02": (
        "best in (-9, -8, -7)",
        'panels["float64"]["five points"].min() < 1e-12',
        '1e-7 < panels["float32"]["five points"].min() < 1e-6',
        '[min(e) for e in panels["float32"].values()] == '
        'sorted((min(e) for e in panels["float32"].values()), reverse=True)',  # best: complex step
        'panels["float32"]["complex step"][:20].max() < 1.2e-7',  # to the last digit
        'abs(best_power["central"] + 5.3) < 0.6 and abs(best_power["five points"] + 3.2) < 0.6',
        'panels["float32"]["central"].min() > 1e-6',
        "difference < 1e-10",
        "1e-6 < seen < 1e-3",
        "abs(slope - 0.65) < 1e-12",
        "all(by_gradcheck for _, by_gradcheck in found)",
        "my_directional_error(np.tanh, tanh_vjp, x, rng) < 1e-9",
    ),
    "03": (
        "abs(left - right) < 1e-12",
        "abs(closed - cross_entropy_vjp(output.data, labels[:64])).max() < 1e-12",
        "all(abs(mine[n].grad - theirs[n].grad).max() < 1e-14 for n in arrays)",
        "percent > 60 and losses[-1] < 1.5 < losses[0]",
    ),
    "04": (
        "abs(first_loss - np.log(10)) < 0.1",
        "by_heart < 0.05",
        "difference < 1e-5",  # between both first epochs
        "abs(chance - 0.1) < 0.06",
        "abs(state[0] - w.data).max() < 1e-5",
    ),
    "05": (
        "(output_size(28, 5, padding=2), output_size(227, 11, stride=4)) == (28, 55)",
        "np.array_equal(product.reshape(4, 4), sum(by_channel))",
        "same.all() and difference < 1e-4",
        "16 * side**2 == model.fc1.weight.shape[1]",
    ),
    "09": (
        "np.array_equal(mine(images).data, theirs(images).data)",
        "above['rank 1'] < above['rank 4'] < 0 < above['ADTN M=4'] < above['larger sites']",
        "np.mean(long_lenet['low rank'][1]) < np.mean(long_lenet['frozen'][1])",
    ),
    "10": (
        "[name for name in found if found[name][0] == 424] == ['stored']",
        "all(kernels != 632 for _, kernels in found.values())",
        "mine == theirs",
        "np.abs(W - A @ B).max() < 1e-5 * np.abs(W).max() and A.shape == (4096, 4)",
        "rank == 64 and strong < 32",  # interleaved
    ),
    "11": (
        "verdict(lenet['dense'], lenet['ADTN, 2,192']) == 1",
        "verdict([97.2, 97.4, 97.6], [97.0, 97.1, 97.2]) == 0",
    ),
}
FULL = {  # after the whole training
    "04": ("np.mean(shuffled_losses[-20:]) < 1.2", "end['Adam'] < end['SGD']"),
    "05": ("lenet_shuffled < fc2_shuffled + 1 < fc2_digits + 3 < lenet_digits + 1",),
}


def outcome(number, conditions, folder, *, fast):
    """Run the solved notebook, then print each condition that does not hold."""
    source = next(source for source in SOURCES if source.stem.startswith(number))
    after = [f"if not ({each}):\n    print('FALSE:', {each!r})" for each in conditions]
    program = folder / f"{source.stem}.py"
    program.write_text("\n".join([build.script(source, solved=True), *after]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=NOTEBOOKS,
        env=environment(fast=fast),
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [line for line in done.stdout.splitlines() if line.startswith("FALSE:")]


@pytest.mark.parametrize("number", ALWAYS)
def test_results(number, tmp_path):
    assert outcome(number, ALWAYS[number], tmp_path, fast=True) == []


@pytest.mark.deep
@pytest.mark.parametrize("number", FULL)
def test_results_of_the_whole_training(number, tmp_path):
    assert outcome(number, ALWAYS[number] + FULL[number], tmp_path, fast=False) == []


def test_a_false_condition_is_found(tmp_path):
    assert outcome("03", ("percent > 100",), tmp_path, fast=True) == ["FALSE: percent > 100"]
