"""Bugs that somebody might make, planted one at a time in a copy of the package.

    python tests/bug_zoo.py          all of them, with the list
    python tests/bug_zoo.py momentum those with this word

Each is killed by the tests that it names: every one of them must fail (of a file or a class, one
test), and all must pass in the copy without a bug. The old text must stand exactly once in the
package; where it is gone, because the code was rewritten, the zoo says so and fails: plant the bug
anew.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Bug:
    """``old`` becomes ``new``; ``killers`` are tests, as ``file::name`` without ``.py``."""

    what: str
    old: str
    new: str
    killers: tuple[str, ...]
    file: str = ""  # where the old text is more than once in the package


def bug(what: str, old: str, new: str, *killers: str, file: str = "") -> Bug:
    return Bug(what, old, new, killers, file)


# fmt: off
ZOO = [
    # --- the page ---------------------------------------------------------------------------------
    bug("tiny: a second path's gradient replaces the first",
        "cotangents[x] = cotangents.get(x, 0) + unbroadcast(vjp(g), x.data.shape)",
        "cotangents[x] = unbroadcast(vjp(g), x.data.shape)",
        "test_tiny::test_a_tensor_that_is_used_twice_gets_both_gradients"),
    bug("tiny: a gate is transposed",
        'pattern="aqb,pq->apb"',
        'pattern="aqb,qp->apb"',
        "test_tiny::test_the_same_gates_decode_to_the_same_weight_with_the_same_gradients"),
    # --- the engine ------------------------------------------------------------------------------
    bug("a second path's gradient replaces the first",
        "total = share if known is None else known + share",
        "total = share if known is None or not leaf else known + share",
        "test_engine::test_random_graphs_against_the_sum_over_paths"),
    bug("a sum of gradients is written into an array that another path holds",
        "total = share if known is None else known + share",
        "total = share if known is None else known + share if leaf else known.__iadd__(share)",
        "test_engine::test_a_sum_of_gradients_is_a_new_array"),
    bug("a second backward's gradient replaces the first",
        "total = share if known is None else known + share",
        "total = share if known is None or leaf else known + share",
        "test_engine::test_gradients_accumulate_over_graphs_until_they_are_cleared"),
    bug("a leaf's gradient is somebody else's array",
        "return array_module(share).asarray(share.copy())",
        "return share",
        "test_ops::test_gradients_own_their_buffers"),
    bug("a broadcast axis is averaged instead of summed",
        "return sum_over(g, (*range(new), *stretched)).reshape(shape)",
        "return g.mean(axis=(*range(new), *stretched)).reshape(shape)",
        "test_op_properties::test_every_broadcastable_pair"),
    bug("only one of several broadcast axes is summed",
        "stretched = [new + k for k, n in enumerate(shape) if n == 1 != g.shape[new + k]]",
        "stretched = [new + k for k, n in enumerate(shape) if n == 1 != g.shape[new + k]][:1]",
        "test_op_properties::test_every_broadcastable_pair"),
    bug("nodes are walked oldest first",
        "return sorted(found, key=lambda node: node.order, reverse=True)",
        "return sorted(found, key=lambda node: node.order)",
        "test_graph_machine::TestGraphs"),
    bug("a graph that was freed can be walked again",
        "self.sources, self.vjps, self.holds, self.snapshots = [], None, [], ()",
        "self.holds = []",
        "test_engine::test_second_backward_is_refused_and_leaves_grad_alone"),
    bug("a gradient keeps the wider type of the graph",
        "yield source, share if share.dtype is source.dtype else share.astype(source.dtype)",
        "yield source, share",
        "test_ops::test_mixed_dtypes_promote_and_each_gradient_is_cast_back"),
    bug("no_grad inside no_grad switches recording on again",
        "self.variable.set(self._before.pop())",
        "self.variable.set(self._before.pop() or not self.value)",
        "test_modes::test_no_grad_nests_and_ends"),
    bug("detect_anomaly blames the line that called backward",
        'check_finite(share, f"the gradient of {node.name}", node.line)',
        'check_finite(share, f"the gradient of {node.name}", calling_line())',
        "test_modes::test_anomaly_names_the_line_of_a_gradient_that_was_made_going_forward"),
    bug("the guard lets go of an array that another graph needs",
        "hold = _shared(hold, owner)",
        "return reference",
        "test_guard::test_an_array_in_several_graphs_is_free_after_the_last"),
    # --- ops -------------------------------------------------------------------------------------
    bug("softmax: the gradient of each entry alone",
        "return c, lambda g: c * (g - _total(g * c, axis))",
        "return c, lambda g: c * (1 - c) * g",
        "test_ops::test_gradient_agrees_with_difference_quotients"),
    bug("log_softmax overflows",
        "c = shifted - xp.log1p(total_of_others(xp.exp(shifted), axis))",
        "c = a - xp.log(_total(xp.exp(a), axis))",
        "test_ties_and_kinks::test_large_arguments_do_not_overflow"),
    bug("an element that was picked twice gets one gradient",
        "xp.add.at(share, parts, g)",
        "share[parts] = g",
        "test_op_properties::test_integer_indexing_with_repetitions"),
    bug("max: every tie gets the full gradient",
        "chosen = xp.arange(count) == winner",
        "chosen = rows == xp.take_along_axis(rows, winner, axis=-1)",
        "test_ties_and_kinks::test_of_equals_the_first_takes_the_whole_gradient"),
    bug("maximum: both equals get the full gradient",
        "return a_won.astype(a.dtype) - (a_won & b_won).astype(a.dtype) / 2",
        "return a_won.astype(a.dtype)",
        "test_ties_and_kinks::test_equals_share_half_and_half"),
    bug("relu has a slope at 0",
        "lambda g: g * (a > 0)",
        "lambda g: g * (a >= 0)",
        "test_ties_and_kinks::test_slopes_at_zero",
        file="ops/basic.py"),
    bug("transpose: the gradient is permuted forward instead of back",
        "return a.transpose(order), lambda g: g.transpose(np.argsort(order).tolist())",
        "return a.transpose(order), lambda g: g.transpose(order)",
        "test_ops::test_adjoint_identity"),
    bug("divide: a forgotten minus",
        "return c, lambda g: g / b, lambda g: -g * c / b",
        "return c, lambda g: g / b, lambda g: g * c / b",
        "test_ops::test_gradient_agrees_with_difference_quotients",
        "test_torch::test_float64"),
    bug("matmul of stacks: the gradient of a vector is twice too large",
        "return share[..., 0, :] if a.ndim == 1 else share",
        "return share[..., :1, :].sum(axis=-2) * 2 if a.ndim == 1 else share",
        "test_op_properties::test_matmul_of_every_kind"),
    bug("cross-entropy: the gradient is not divided by the number of images",
        "return share * (g / n)",
        "return share * g",
        "test_loss::test_gradient_is_softmax_minus_one_hot_over_n"),
    bug("cross-entropy: the label's own term is forgotten",
        "share[picked] = -share.sum(axis=1)",
        "share[picked] -= 0",
        "test_ops::test_gradient_agrees_with_difference_quotients"),
    # --- images ----------------------------------------------------------------------------------
    bug("col2im: = for +=",
        "image[inputs] += columns[:, p, q][outputs]",
        "image[inputs] = columns[:, p, q][outputs]",
        "test_conv::test_one_pixel_seen_by_many_outputs_gets_the_sum_of_their_gradients"),
    bug("convolution in blocks: the gradient of every block goes to the first rows",
        "col2im(columns, window, rows.start, rows.stop, share[..., images])",
        "col2im(columns, window, 0, rows.stop - rows.start, share[..., images])",
        "test_conv::test_many_blocks_compute_what_one_does",
        "test_conv::test_any_geometry_equals_seven_loops_and_both_gradients_are_its_adjoints"),
    bug("convolution in blocks: the gradient of the weight is that of the last block",
        "total += xp.matmul(part, unfolded(rows, images).swapaxes(1, 2), out=product)",
        "total[...] = xp.matmul(part, unfolded(rows, images).swapaxes(1, 2), out=product)",
        "test_conv::test_many_blocks_compute_what_one_does"),
    bug("convolution: the kernels of all groups are mixed",
        "kernels = weight.reshape(groups, o // groups, -1)  # (g, o / g, cpq)\n\n",
        "kernels = weight.reshape(o // groups, groups, -1).swapaxes(0, 1)\n\n",
        "test_ops::test_forward_equals_the_reference", file="ops/conv.py"),
    bug("Winograd: the gradient of the image uses the kernel without turning it",
        "turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)",
        "turned = weight.transpose(1, 0, 2, 3)",
        "test_winograd::test_in_double_precision_it_is_the_plain_convolution",
        "test_winograd::test_through_the_op_it_is_the_plain_convolution"),
    bug("the window's height where its width belongs",
        "columns = [window._slices(1, q, 0, window.outputs[1]) for q in range(window.kernel[1])]",
        "columns = [window._slices(1, q, 0, window.outputs[0]) for q in range(window.kernel[1])]",
        "test_ops::test_forward_equals_the_reference", "test_torch::test_float64"),
    bug("max_pool2d: overlapping windows, = for +=",
        "share[inputs] += part * won if finite else xp.where(won, part, 0)",
        "share[inputs] = part * won if finite else xp.where(won, part, 0)",
        "test_pool::test_of_equals_the_first_of_each_window_wins_and_overlapping_windows_add_up"),
    bug("max_pool2d: the padding wins over what is negative",
        "out = xp.full((len(image), *window.outputs, len(x)), -math.inf, image.dtype)",
        "out = xp.full((len(image), *window.outputs, len(x)), 0.0, image.dtype)",
        "test_pool::test_padding_never_wins"),
    bug("stride and dilation are mixed up",
        "offset = cell * self.dilation[axis] - self.padding[axis]",
        "offset = cell * self.stride[axis] - self.padding[axis]",
        "test_conv::test_any_geometry_equals_seven_loops_and_both_gradients_are_its_adjoints"),
    bug("batch norm: the mean does not move with the input",
        "g = g - grad_shift / m",
        "g = g + 0",
        "test_ops::test_gradient_agrees_with_difference_quotients"),
    bug("batch norm in blocks: every block is normalized with the first channels' statistics",
        "parts = function(rows[k], *[a[k] for a in columns])",
        "parts = function(rows[k], *[a[: len(rows[k])] for a in columns])",
        "test_batch_norm::test_some_channels_at_a_time_give_the_bits_of_all_at_once"),
    bug("batch norm: the running variance is the biased one",
        "unbiased = variance * (count / (count - 1))",
        "unbiased = variance * 1",
        "test_batch_norm::test_the_unbiased_variance_shows_in_a_small_batch"),
    bug("dropout does not make up for what it drops",
        "asarray(keep / (1 - rate), x.dtype)",
        "asarray(keep * 1.0, x.dtype)",
        "test_norm::test_dropout_keeps_the_mean_and_drops_at_its_rate"),
    # --- tensor networks -------------------------------------------------------------------------
    bug("a gate is transposed",
        'letters = "qpsr" if flipped else "pqrs"',
        'letters = "srqp" if flipped else "rspq"',
        "test_brickwall::test_a_gate_on_any_two_sites_in_any_order_equals_its_big_matrix"),
    bug("a gate on sites in the other order is not flipped",
        'letters = "qp" if flipped else "pq"',
        'letters = "pq"',
        "test_brickwall::test_a_gate_on_any_two_sites_in_any_order_equals_its_big_matrix"),
    bug("the fast contraction: relu has a slope at 0",
        "multiply(g, y > 0, out=g)",
        "multiply(g, y >= 0, out=g)",
        "test_fast_wall::test_value_and_gradients_equal_gate_by_gate"),
    bug("the last activation is applied too",
        "if column.layer > layer:  # between",
        "if column.layer >= layer:  # between",
        "test_brickwall::test_any_wiring_equals_the_product_of_big_matrices"),
    bug("interleaved sites: ties go to the later axis",
        "k = min(open_axes, key=lambda k: (taken[k] + 0.5) / len(groups[k]))",
        "k = min(open_axes[::-1], key=lambda k: (taken[k] + 0.5) / len(groups[k]))",
        "test_sites"),
    bug("the picked entries' gradients go to other places",
        "share[index] = g",
        "share[index.ravel()[::-1].reshape(index.shape)] = g",
        "test_every_encoding::test_gradients_are_right",
        "test_adtn_properties::test_every_gate_times_its_gradient_is_the_weight_times_its_gradient"),
    # --- training --------------------------------------------------------------------------------
    bug("a result that a forward pass keeps is a parameter",
        "return tensor.requires_grad and tensor.node is None",
        "return tensor.requires_grad",
        "test_members::test_what_a_forward_pass_keeps_belongs_to_no_model"),
    bug("the optimizer updates the caller's array",
        "            self._data = own_copy(differentiable(self._data))",
        "            self._data = differentiable(self._data)",
        "test_optim::test_what_parameters_were_made_of_stays_as_it_is"),
    bug("the schedule ends one step after the last",
        "last = max(self.steps - 1, 0)",
        "last = self.steps",
        "test_optim::test_a_loop_of_all_steps_goes_from_one_end_to_the_other"),
    bug("SGD forgets its momentum",
        "velocity *= data.dtype.type(self.momentum)",
        "velocity *= data.dtype.type(0)",
        "test_optim::test_sgd_follows_its_formula", "test_torch_optim::test_sgd"),
    bug("Adam does not undo the start at zero",
        "correction = math.sqrt(1 - beta2**self.count)",
        "correction = 1.0",
        "test_optim::test_adam_follows_its_formula", "test_torch_optim::test_adam"),
    bug("the norm for clipping is that of the largest gradient alone",
        "norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))",
        "norm = math.sqrt(max((float((g * g).sum()) for g in gradients), default=0.0))",
        "test_optim_properties::test_sgd_of_any_options"),
    bug("weight decay does not follow the rate",
        "type(1 - lr * self.weight_decay)",
        "type(1 - self.learning_rate * self.weight_decay)",
        "test_optim_properties::test_sgd_of_any_options"),
    bug("a resumed run begins its epoch anew: the order is replayed",
        "order = batches(data.train, plan.batch_size, seed=plan.seed, epoch=epoch, skip=done)",
        "order = batches(data.train, plan.batch_size, seed=plan.seed, epoch=epoch)",
        "test_resume::test_a_stopped_run_goes_on_bit_for_bit"),
    bug("every step draws the same dropout",
        "rng = np.random.default_rng((DROPOUT_STREAM, run.plan.seed, step))",
        "rng = np.random.default_rng((DROPOUT_STREAM, run.plan.seed))",
        "test_train::test_every_step_drops_others"),
    bug("gradients of the step before count too",
        "            run.optimizer.zero_grad()\n            state.step, state.loss = step, value",
        "            state.step, state.loss = step, value",
        "test_train::test_two_epochs_are_one_after_the_other"),
    bug("a loss that is not finite is stepped on",
        "if not math.isfinite(value) or not _finite_gradients(run.optimizer):",
        "if False:",
        "test_train::test_an_explosion_stops_before_the_update"),
    bug("a kill between last.npz and best.npz loses the best state",
        "        if best:\n            write_state(folder / \"best.npz\", arrays, meta)\n"
        "        if self.saved != self.state.done:\n",
        "        if self.saved != self.state.done:\n"
        "            write_state(folder / \"last.npz\", arrays, meta)\n"
        "        if best:\n            write_state(folder / \"best.npz\", arrays, meta)\n"
        "        if self.saved != self.state.done:\n",
        "test_resume::test_a_run_that_ends_between_two_files_goes_on_with_both"),
    # --- files -----------------------------------------------------------------------------------
    bug("a file is written in its place",
        "file, lock = temporary.open(\"xb\"), None",
        "return path.open(\"wb\"), None",
        "test_checkpoint::test_a_block_that_fails_leaves_the_old_file",
        "test_checkpoint::test_a_full_disk_leaves_the_old_file"),
    bug("the data are not on the disk before the name",
        "os.fsync(file.fileno())",
        "file.fileno()",
        "test_checkpoint::test_the_data_is_on_the_disk_before_the_name_and_the_name_before_the_end"),
    bug("hashes are written and never compared",
        "if _hash(array) != hashes[name]:",
        "if False:",
        "test_checkpoint_damage::test_a_file_that_contradicts_itself_is_refused"),
    bug("a member may lead out of the folder",
        'or ".." in name.split("/")',
        'or ".." == name',
        "test_checkpoint_damage::test_a_file_that_contradicts_itself_is_refused"),
    bug("pickled objects are no reason to stop",
        "if dtype.hasobject:",
        "if False:",
        "test_checkpoint_damage::test_no_pickle_runs"),
    bug("a pipe is waited for",
        "return path.exists() and not (path.is_file() or path.is_dir())",
        'return str(path) == "/dev/zero"',
        "test_faults::test_a_device_is_no_checkpoint"),
    bug("a gzip is read exactly as far as its header says",
        "while chunk := stream.read(min(CHUNK, promised + 1 - len(content))):",
        "while chunk := stream.read(min(CHUNK, promised - len(content))):",
        "test_idx::test_trailing_bytes_are_refused", "test_idx::test_a_wrong_checksum_is_refused"),
    bug("sizes are multiplied in 64 bits",
        "math.prod(length or 1 for length in shape)",
        "int(np.prod(np.array(shape, np.int64)))",
        "test_idx::test_hostile_files_are_refused_in_little_memory"),
    bug("a set trained on may be the one tested on",
        "not np.array_equal(pairs[one][0], pairs[other][0]),",
        "pairs[one][0] is not pairs[other][0],",
        "test_faults::test_hostile_data_are_refused_by_every_command"),
    bug("an error of two lines is printed on two lines",
        "return \"\".join(c if c.isprintable() or c in also else repr(c)[1:-1] for c in text)",
        "return text",
        "test_cli_properties::test_no_line_gives_a_traceback_an_odd_code_or_a_file_elsewhere",
        "test_faults::test_a_name_cannot_command_the_terminal"),
    # --- studies ---------------------------------------------------------------------------------
    bug("the fine-tuned network changes the one that is fitted only",
        'model, errors = models["fitted only"].copy(), records["fitted only"]["fit_error"]',
        'model, errors = models["fitted only"], records["fitted only"]["fit_error"]',
        "test_experiment::test_the_rows_are_those_of_a_sweep_and_give_its_results"),
    bug("reading results imports what they name",
        'if isinstance(name, str) and ":" in name and folder is not None:',
        'if isinstance(name, str) and ":" in name and (folder := folder or Path()):',
        "test_sweep_parts::test_reading_results_imports_nothing"),
    bug("any function that a spec names is called as a network",
        "lacking = [argument for argument in GIVEN if argument not in taken]",
        "lacking = []",
        "test_sweep_parts::test_what_is_no_part_is_refused_before_it_is_called"),
    # --- rivals -----------------------------------------------------------------------------------
    bug("a weight beyond the memory is decoded",
        "return chain if free < whole or not weight.fits() else None",
        "return chain if free < whole else None",
        "test_larger_than_memory::"
        "test_factors_that_cost_more_than_the_weight_are_used_if_it_does_not_fit"),
    bug("the spread from the cores forgets the mean",
        "square.item() / entries - (total.item() / entries) ** 2",
        "square.item() / entries",
        "test_larger_than_memory::test_the_standard_deviation_of_the_cores_is_that_of_the_weight"),
    bug("MixT: a window's gradient replaces that of another",
        "share[:, columns] += part @ gate",
        "share[:, columns] = part @ gate",
        "test_mixt::test_a_layer_never_forms_it_and_computes_the_same"),
    bug("MixT: fit forgets that the weight is a mean",
        "values = (count * gate).astype(parameter_.dtype)",
        "values = gate.astype(parameter_.dtype)",
        "test_every_encoding::test_fit_brings_it_closer_and_returns_the_relative_errors"),
    bug("quantized: one value more than the bits can hold",
        "step = xp.abs(x).max() / (2 ** (bits - 1) - 1)",
        "step = xp.abs(x).max() / 2 ** (bits - 1)",
        "test_storage::test_every_array_has_as_many_values_as_its_bits_can_hold"),
    bug("quantized: the bytes forget the scales",
        "+ (0 if self.bits == HALF else 4)",
        "+ 0",
        "test_every_encoding::test_counts_are_the_stored_entries"),
    bug("pruned: the smallest entries are kept",
        "np.argpartition(np.abs(flat), first)[first:]",
        "np.argpartition(-np.abs(flat), first)[first:]",
        "test_storage::test_pruning_keeps_the_largest_entries"),
    bug("update: fit leaves the old update in place",
        "self.gain.data = self.gain.data * 0",
        "self.gain.data = self.gain.data * 1",
        "test_storage::test_the_gain_gets_its_gradient_at_0"),
    bug("sensitivity: the reference is not trained as long",
        "dense, rows = accuracy(model.copy()), []",
        "dense, rows = evaluate(model, data.validation).accuracy, []",
        "test_sensitivity::test_the_reference_is_trained_as_long"),
]
# fmt: on


# --- looking for the places ----------------------------------------------------------------------


def sources(root: Path) -> dict[str, str]:
    package = root / "tinyadtn"
    paths = sorted(package.rglob("*.py"))
    return {path.relative_to(package).as_posix(): path.read_text() for path in paths}


def place(planted: Bug, texts: dict[str, str]) -> str:
    """The one file that the bug can be planted in; LookupError if it is gone or ambiguous."""
    found = [
        name
        for name, text in texts.items()
        for _ in range(text.count(planted.old))
        if name.endswith(planted.file)
    ]
    if len(found) != 1:
        where = ", ".join(found) or "nowhere"
        raise LookupError(
            f"{planted.what!r}: its text stands {len(found)} times ({where}); plant it anew: "
            f"{planted.old!r}"
        )
    return found[0]


def node(killer: str) -> str:
    file, _, name = killer.partition("::")
    return f"tests/{file}.py" + (f"::{name}" if name else "")


# --- running -------------------------------------------------------------------------------------


def copy_of(root: Path, folder: Path) -> Path:
    """The package and its tests, where bugs can be planted without harm."""
    copy = folder / "copy"
    copy.mkdir()
    shutil.copytree(root / "tinyadtn", copy / "tinyadtn", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(root / "tests", copy / "tests", ignore=shutil.ignore_patterns("*.pyc"))
    for file in ("pyproject.toml", "README.md", "Makefile"):
        shutil.copy(root / file, copy / file)
    for folder in ("data", "docs", "notebooks"):
        (copy / folder).symlink_to(root / folder)
    return copy


def pytest(copy: Path, killers: tuple[str, ...]) -> tuple[int, str]:
    """The exit status of pytest (1: a test failed) and the tests that failed."""
    environment = os.environ | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(copy),
        "TINYADTN_HYPOTHESIS": "ci",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist",
         "--tb=no", *dict.fromkeys(map(node, killers))],
        capture_output=True, text=True, cwd=copy, env=environment, timeout=500, check=False,
    )  # fmt: skip
    failed = [line[7:] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    words = failed[0].split(" - ")[0] if failed else done.stdout[-2000:] + done.stderr[-500:]
    return done.returncode, words.removeprefix("tests/")


def imports_the_copy(copy: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", "import tinyadtn; print(tinyadtn.__file__)"],
        capture_output=True, text=True, cwd=copy, check=True,
        env=os.environ | {"PYTHONPATH": str(copy)},
    )  # fmt: skip
    return Path(done.stdout.strip()).is_relative_to(copy)


def main(words: list[str]) -> int:
    begun, wrong = time.monotonic(), []
    texts = sources(ROOT)
    zoo = [b for b in ZOO if all(word in b.what for word in words)]
    for planted in zoo:
        try:
            place(planted, texts)
        except LookupError as error:
            wrong.append(str(error))
    if wrong:
        print("\n".join(wrong))
        return 1
    with tempfile.TemporaryDirectory(prefix="tinyadtn-zoo-") as folder:
        copy = copy_of(ROOT, Path(folder))
        assert imports_the_copy(copy)
        status, words_of = pytest(copy, tuple(k for b in zoo for k in b.killers))
        if status != 0:
            print(f"without any bug the tests do not pass: {words_of}")
            return 1
        for planted in zoo:
            file = place(planted, texts)
            path = copy / "tinyadtn" / file
            path.write_text(texts[file].replace(planted.old, planted.new))
            ends = [pytest(copy, (killer,)) for killer in planted.killers]
            path.write_text(texts[file])
            killed = all(status == 1 for status, _ in ends)
            print(f"{'killed ' if killed else 'SURVIVED'} {planted.what} ({file})")
            for name, (status, told) in zip(planted.killers, ends):
                print(f"         {told if status == 1 else f'{name} ended with {status}: {told}'}")
            sys.stdout.flush()
            if not killed:
                wrong.append(planted.what)
    print(
        f"\n{len(zoo)} bugs planted, {len(zoo) - len(wrong)} killed "
        f"({time.monotonic() - begun:.0f} s)"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
