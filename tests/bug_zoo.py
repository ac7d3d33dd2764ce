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
    # --- your own data ----------------------------------------------------------------------------
    bug("a Split of bytes is not scaled",
        "pixels = np.divide(self.images, 255, dtype=np.float32)",
        "pixels = np.divide(self.images, 1, dtype=np.float32)",
        "test_data::test_a_split_of_bytes_is_scaled_and_features_stay_as_they_are"),
    bug("a Split takes pixels of any scale",
        'require_pixels(self.images, "a Split of pixels (features=True is for other inputs)")',
        "pass",
        "test_data::test_a_split_takes_pixels_as_load_data_does"),
    bug("images (n, h, w, c) are turned by the way",
        "images = images.transpose(0, 3, 1, 2) if has_channels_last(images) else images",
        "images = images.transpose(0, 3, 2, 1) if has_channels_last(images) else images",
        "test_data::test_channels_in_the_last_axis_are_recognized"),
    bug("the drawn test images are trained on, too",
        "return np.sort(order[~is_test]), np.sort(order[is_test])",
        "return np.sort(order), np.sort(order[is_test])",
        "test_own_data::test_one_pair_is_divided_and_each_class_keeps_its_share"),
    bug("the test split is drawn without regard to the classes",
        'return order[np.argsort(labels[order], kind="stable")]',
        "return order",
        "test_own_data::test_one_pair_is_divided_and_each_class_keeps_its_share"),
    bug("a small packed file may become any size",
        "most_from(file.fileno()) if packed else 0",
        "2**60 if packed else 0",
        "test_file_layouts::test_a_small_file_cannot_become_a_large_array"),
    bug("the value of --encode is executed",
        "else ast.literal_eval(each.value)",
        "else eval(ast.unparse(each.value))",
        "test_cli_own_data::test_encodings_that_are_none_are_an_error_of_usage"),
    bug("Ctrl-C in the loop's body is not a reason to save",
        "    try:\n        _save_runs()\n    finally:",
        "    try:\n        pass\n    finally:",
        "test_interrupts::test_ctrl_c_in_the_body_of_the_loop_saves_a_run_that_has_a_name"),
    bug("a run goes on in a folder that another has taken",
        "                run.require_folder()\n",
        "",
        "test_interrupts::test_of_two_runs_in_one_folder_the_older_one_stops_before_its_next_step"),
    # --- other programs ---------------------------------------------------------------------------
    bug("a tensor of torch that the model lacks is ignored",
        'left = {name for name in left if not name.endswith("num_batches_tracked")}',
        "left = set()",
        "test_from_torch::test_what_does_not_fit_changes_nothing"),
    bug("torch's variance stays under its own name",
        '"running_variance": "running_var"}',
        "}",
        "test_from_torch::test_names_and_words_are_translated"),
    bug("a batch normalization goes back to torch under our words",
        "state[torch_name(ours, modules, names)] = values",
        "state[torch_name(ours, {}, names)] = values",
        "test_to_torch::test_dense_values_go_back_into_the_torch_network_that_they_came_from"),
    bug("torch's further name of a shared tensor is not mapped",
        "return [torch_name(path, modules, names, state) for path in paths]",
        "return paths",
        "test_to_torch::test_dense_values_go_back_into_the_torch_network_that_they_came_from"),
    bug("torch's words are not read at the second name of a batch normalization",
        "return [torch_name(path, modules, names, state) for path in paths]",
        "return [torch_name(path, {}, names, state) for path in paths]",
        "test_to_torch::test_a_shared_batch_normalization_goes_to_torch_and_back"),
    bug("NaN comes in from torch",
        'if arrays[o].dtype.kind == "f"}',
        "if False}",
        "test_from_torch::test_values_that_are_not_finite_are_named"),
    bug("True is a depth of 1",
        "isinstance(value, numbers.Integral) and not isinstance(value, bool)",
        "isinstance(value, numbers.Integral)",
        "test_compress::test_a_value_that_is_not_a_recipe_is_answered_with_one"),
    bug("layers of torchvision are ordered as text",
        "found.append(int(number))",
        "found.append(number)",
        "test_torchvision::test_the_published_networks_fit"),
    bug("a safetensors file may have any number of arrays",
        "if len(names) > MOST_MEMBERS:",
        "if False:",
        "test_safetensors::test_the_limits_of_checkpoints_hold"),
    bug("a safetensors file may be larger than the memory",
        'require_memory(str(path), 2 * size, "load it on a machine with more memory")\n'
        "        with package",
        "with package",
        "test_safetensors::test_the_limits_of_checkpoints_hold"),
    bug("ONNX divides alpha by the size once more",
        "alpha = layer.alpha * layer.size  # ONNX",
        "alpha = layer.alpha  # ONNX",
        "test_onnx::test_every_network"),
    bug("ONNX gets the padding of one side twice",
        '"pads": [*window.padding, *(window.after or window.padding)],',
        '"pads": [*window.padding, *window.padding],',
        "test_onnx::test_layers_and_their_options"),
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
        "yield source, share if good else rules.cast(share, source, self, k)",
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
    bug("the gradient check compares a small element with the largest",
        "relative = _relative(gradient[place], measured.value, measured.rounding / limit)",
        "relative = _relative(gradient[place], measured.value, np.abs(gradient).max())",
        "test_gradcheck::test_every_element_is_compared_with_its_own_size"),
    bug("the gradient check excuses what it could not measure",
        "if error <= max(1e-3 * abs(again), limit * whole):  # else this measured nothing",
        "if True:",
        "test_gradcheck::test_a_wrong_gradient_is_found_although_no_quotient_is_accurate"),
    bug("an option that requires a gradient gets none, silently",
        "if value._requires_grad and recording.get():",
        "if False:",
        "test_ops::test_an_option_that_requires_a_gradient_is_rejected_because_it_would_get_none"),
    bug("a VJP of a user may write into the gradient that others need",
        "            g.setflags(write=False)",
        "            g.setflags(write=True)",
        "test_rules::test_a_vjp_that_writes_is_refused_by_name"),
    bug("the gradient of a result replaces the one that it had",
        "gradients[tensor] = g.copy() if tensor._grad is None else tensor._grad + g",
        "gradients[tensor] = g.copy()",
        "test_retain_grad::test_the_gradient_accumulates_and_owns_its_memory"),
    bug("an object that shares its memory is used in place",
        "new_array(value) if shares_memory(value) and not isinstance(value, np.ndarray) else value",
        "value",
        "test_guard_memory::test_an_object_that_shares_its_memory_is_copied"),
    bug("the guard lets go of an array that another graph needs",
        "hold = _shared(hold, owner)",
        "return reference",
        "test_guard::test_an_array_in_several_graphs_is_free_after_the_last"),
    bug("the guard overlooks arrays in a tuple that a gradient keeps",
        "type(kept) in (tuple, list) and _PLAIN.issuperset(map(type, kept))",
        "type(kept) in (tuple, list)",
        "test_guard::test_which_gradients_keep_an_array"),
    # --- ops -------------------------------------------------------------------------------------
    bug("softmax: the gradient of each entry alone",
        "return p * (g - _total(g * p, axis))",
        "return p * (1 - p) * g",
        "test_ops::test_gradient_agrees_with_difference_quotients"),
    bug("log_softmax overflows",
        "return shifted - xp.log1p(others), grad_a",
        "return a - xp.log(_total(xp.exp(a), axis)), grad_a",
        "test_ties_and_kinks::test_large_arguments_do_not_overflow"),
    bug("contract: the axes of ... are counted from the left",
        'x.replace("...", names[most - max(n, 0) :], 1)',
        'x.replace("...", names[: max(n, 0)], 1)',
        "test_contract::"
        "test_an_ellipsis_may_stand_for_fewer_axes_in_one_operand_counted_from_the_right"),
    bug("contract: the gradient of a diagonal goes to the first row",
        "share[places[k]] = vjps[k](g)",
        "share[(0 * places[k][0], *places[k][1:]) if len(places[k]) > 1 else ...] = vjps[k](g)",
        "test_ops::test_gradient_agrees_with_difference_quotients"),
    bug("a transposed convolution: the gradient of x flips the kernel",
        "y, _, grad_weight = conv2d.__wrapped__(g, weight, **options)",
        "y, _, grad_weight = conv2d.__wrapped__(g, weight[:, :, ::-1], **options)",
        "test_conv::test_a_transposed_convolution_is_the_gradient_of_the_image"),
    bug("var: ddof is forgotten",
        "return centred, count - ddof",
        "return centred, count",
        "test_ops::test_forward_equals_the_reference"),
    bug("average pool: ceil_mode counts cells beyond the padding",
        "return (_inputs(window, axis) < end).sum(axis=1)",
        "return (_inputs(window, axis) < end + 99).sum(axis=1)",
        "test_pool::test_avg_pool_of_any_geometry_equals_its_definition"),
    bug("prod: the other elements are the product divided by the element",
        "others = product_before(rows) * product_before(rows[..., ::-1])[..., ::-1]",
        "others = rows.prod(-1)[..., None] / rows",
        "test_ops::test_the_gradient_of_a_product_is_the_product_of_the_others"),
    bug("cumsum: the gradient runs forward",
        "lambda g: running_sum(g[back])[back]",
        "lambda g: running_sum(g)",
        "test_ops::test_adjoint_identity"),
    bug("var: the rounding error of the mean counts as variance",
        "centred = centred - mean(centred, axis=axis, keepdims=True)",
        "centred = centred - 0.0",
        "test_op_accuracy::test_a_variance_does_not_suffer_from_a_mean_that_is_rounded"),
    bug("norm: squares overflow",
        "scale = xp.where((largest > 0) & xp.isfinite(largest), largest, 1)",
        "scale = xp.ones_like(largest)",
        "test_ops::test_no_square_of_a_norm_overflows_or_vanishes"),
    bug("binary cross-entropy: p - 1 cancels",
        "(t + xp.where(a > 0, -q, q))",
        "((1 / (1 + xp.exp(-a))) - (a > 0) + t)",
        "test_ops::test_binary_cross_entropy_keeps_its_digits_where_the_prediction_is_sure"),
    bug("an element that was picked twice gets one gradient",
        "array_module(g).add.at(share, parts, g.astype(np.float64))",
        "share[parts] = g",
        "test_op_properties::test_integer_indexing_with_repetitions"),
    bug("an element that was picked a million times gets a sum in float32",
        "array_module(g).zeros(a.shape, g.dtype if simple else np.float64)",
        "array_module(g).zeros(a.shape, g.dtype)",
        "test_op_accuracy::test_an_element_that_is_read_often_gets_an_accurate_sum"),
    bug("log_softmax: 1 - p of the largest cancels",
        "return xp.where(largest, -_total(share, axis), share)",
        "return g - e / (1 + others) * _total(g, axis)",
        "test_op_accuracy::"
        "test_softmax_and_its_gradient_keep_their_digits_where_one_is_sure"),
    bug("softmax: the gradient of what is small loses its digits to the largest",
        "g = g - xp.take_along_axis(g, largest, axis)",
        "g = g - 0",
        "test_op_accuracy::"
        "test_softmax_and_its_gradient_keep_their_digits_where_one_is_sure"),
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
        "total += xp.matmul(unfolded(rows, images), part.swapaxes(1, 2), out=share)",
        "total[...] = xp.matmul(unfolded(rows, images), part.swapaxes(1, 2), out=share)",
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
        "if finite and apart:",
        "if finite:",
        "test_pool::test_of_equals_the_first_of_each_window_wins_and_overlapping_windows_add_up"),
    bug("max_pool2d: the padding wins over what is negative",
        "out = xp.full((len(image), *window.outputs, len(x)), -math.inf, image.dtype)",
        "out = xp.full((len(image), *window.outputs, len(x)), 0.0, image.dtype)",
        "test_pool::test_padding_never_wins"),
    bug("stride and dilation are mixed up",
        "offset = cell * self.dilation[axis] - self.padding[axis]",
        "offset = cell * self.stride[axis] - self.padding[axis]",
        "test_conv::test_any_geometry_equals_seven_loops_and_both_gradients_are_its_adjoints"),
    bug("padding on the right is that on the left",
        "end = inside + (self.after or self.padding)[axis]",
        "end = inside + self.padding[axis]",
        "test_conv::test_any_geometry_equals_seven_loops_and_both_gradients_are_its_adjoints"),
    bug("ceil_mode: a window may begin in the padding at the end",
        "if self.ceil_mode and rest and (steps + 1) * stride < inside:",
        "if self.ceil_mode and rest:",
        "test_pool::test_max_pool_of_any_geometry_equals_its_definition"),
    bug("Winograd: the gradient has the padding of one side on both",
        "before, after = (2 - top, 2 - left), (2 - bottom, 2 - right)",
        "before, after = (2 - top, 2 - left), (2 - top, 2 - left)",
        "test_conv::test_large_3x3_convolutions_may_have_any_padding"),
    bug("Winograd: the two outputs of a 2×2 map are exchanged",
        "[[0, 1, 1], [1, 1, 0]],",
        "[[1, 1, 0], [0, 1, 1]],",
        "test_winograd::test_two_pixels_of_an_axis_need_three_products",
        "test_winograd::test_in_double_precision_it_is_the_plain_convolution"),
    bug("Winograd: transformed images of the first block are used for all",
        "rows, images = blocks[k]\n",
        "rows, images = blocks[0]\n",
        "test_winograd::test_in_double_precision_it_is_the_plain_convolution"),
    bug("batch norm: the mean does not move with the input",
        "g -= grad_shift / m",
        "g += 0",
        "test_ops::test_gradient_agrees_with_difference_quotients"),
    bug("batch norm in blocks: every block is normalized with the first channels' statistics",
        "function(rows[k], *[a[k] for a in columns], out=out[k])",
        "function(rows[k], *[a[: len(rows[k])] for a in columns], out=out[k])",
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
    bug("a normalized gate keeps its own norm",
        "factor = norm / lengths",
        "factor = norm / array_module(x).sqrt(lengths)",
        "test_adtn_gradients::test_no_gate_can_make_a_normalized_weight_vanish"),
    bug("the gradient of a normalized gate is not orthogonal to it",
        "grad = y * (_dots(y, g) / -(norm * norm))",
        "grad = y * (_dots(y, g) / -(norm * norm) / 2)",
        "test_adtn_gradients::test_the_norms_of_normalized_gates_are_gauge"),
    bug("the norm of the last gate has no gradient",
        "share[-1] = gate * (g * scale / norm)",
        "share[-1] = gate * (g * scale / norm) * 0",
        "test_adtn_gradients::test_the_norms_of_normalized_gates_are_gauge"),
    bug("a deep normalized weight is not divided by its rms",
        "norm = self.amplitude() * math.sqrt(tensor.size)",
        "norm = self.amplitude() * float(np.linalg.norm(tensor.numpy()))",
        "test_adtn_gradients::test_the_gradient_is_the_slope"),
    # --- training --------------------------------------------------------------------------------
    bug("a result that a forward pass keeps is a parameter",
        "return isinstance(tensor, Tensor) and tensor.requires_grad and tensor.node is None",
        "return isinstance(tensor, Tensor) and tensor.requires_grad",
        "test_members::test_what_a_forward_pass_keeps_belongs_to_no_model"),
    bug("a copy of a module forgets that two attributes hold one tensor",
        "return {k: copy.deepcopy(v, same) if k in computed else v for k, v in attributes.items()}",
        "return {k: copy.deepcopy(v) if k in computed else v for k, v in attributes.items()}",
        "test_members::test_a_model_that_was_used_is_copied"),
    bug("a parameter in slots is not noticed",
        "for name, part in {**vars(holder), **_slots(holder)}.items():",
        "for name, part in vars(holder).items():",
        "test_module_attributes::test_a_parameter_in_slots_is_rejected"),
    bug("a step without any gradient is counted",
        "if all(p.grad is None for p in self.parameters):",
        "if not self.parameters:",
        "test_optim_refusals::test_a_step_without_any_gradient_is_rejected_and_not_counted"),
    bug("an optimizer takes a parameter that was moved to another device",
        "or device_of(p.data) != device_of(state)",
        "or False",
        "test_optim_refusals::test_a_parameter_on_another_device_than_its_state_is_rejected"),
    bug("an optimizer takes a parameter that its state does not know",
        "if len(arrays) != len(self.parameters):",
        "if False:",
        "test_optim_refusals::test_a_list_of_parameters_that_was_changed_is_rejected"),
    bug("options that were changed after the optimizer was made are not checked",
        "        self._require_options(lr)\n",
        "        require_limits(learning_rate=lr)\n",
        "test_optim_refusals::test_an_option_that_is_changed_later_is_checked_by_the_next_step"),
    bug("log_softmax: the largest p is 1 minus the others, however small it is",
        "sure = largest & (others < 1)",
        "sure = largest",
        "test_op_accuracy::test_gradients_along_a_long_axis_keep_their_digits"),
    bug("a resumed run takes any optimizer of the user",
        "value = name_of(name, value) if callable(value) and name in KNOWN else value",
        "value = plan.get(name) if callable(value) and name in KNOWN else value",
        "test_parts::test_a_run_is_not_resumed_without_its_parts_or_with_others"),
    bug("validation has another loss than the user's",
        'validation = evaluate(run.model, data.validation, loss=run.plan.part("loss"))',
        "validation = evaluate(run.model, data.validation)",
        "test_parts::test_a_loss_of_ones_own_is_minimized_and_judged"),
    bug("the user's optimizer in a sweep is not that of the spec",
        "known if folder is None else training_part(str(folder / given[kind]))",
        "known",
        "test_sweep_parts::test_what_is_no_part_is_refused_before_it_is_called"),
    bug("the optimizer updates the caller's array",
        "            self._data = own_copy(differentiable(self._data))",
        "            self._data = differentiable(self._data)",
        "test_optim::test_what_parameters_were_made_of_stays_as_it_is"),
    bug("the schedule ends one step after the last",
        "last = max(self.steps - 1, 0)",
        "last = self.steps",
        "test_schedules::test_a_loop_of_all_steps_goes_from_one_end_to_the_other"),
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
    bug("images of a batch that is left out count in the mean loss",
        "seen = min(len(data.train), run.plan.batch_size * step.total // run.plan.epochs)",
        "seen = len(data.train)",
        "test_train::test_the_smaller_last_batch_may_be_left_out"),
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
    # --- the course -------------------------------------------------------------------------------
    bug("the graph player: a second contribution replaces the first",
        "adjoints[parent] = adjoints.get(parent, 0.0) + slope * adjoints[node]",
        "adjoints[parent] = slope * adjoints[node]",
        "test_course_first_pictures::test_adjoints_arrive_one_node_after_the_other"),
    bug("the patch player is one column late",
        "text.set_visible(first <= now)",
        "text.set_visible(first < now)",
        "test_course_first_pictures::test_each_patch_becomes_a_column"),
    bug("the loss curves are cut off above",
        "top = max(top, 1.05 * float(smooth.max()))",
        "top = max(top, 0.0)",
        "test_course_first_pictures::test_no_loss_is_cut_off"),
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
        "if folder is None:  # of a record",
        "if (folder := folder or Path()) is None:  # of a record",
        "test_sweep_parts::test_reading_results_imports_nothing"),
    bug("results with own parts are lost when training gets a new option",
        "return {kind.key: name, **given}",
        "raise TinyADTNError(where)",
        "test_sweep_parts::test_results_with_own_parts_stay_valid_when_training_gets_a_new_option"),
    bug("an encoding inside another one is looked for in the folder of the worker",
        'return {**found, "of": self._located_encoding(entry["of"])} if "of" in entry else found',
        "return found",
        "test_sweep_parts::test_an_own_encoding_inside_another_one_is_found_next_to_the_spec"),
    bug("any function that a spec names is called as a network",
        "lacking = [argument for argument in GIVEN if argument not in taken]",
        "lacking = []",
        "test_sweep_parts::test_what_is_no_part_is_refused_before_it_is_called"),
    # --- teaching ---------------------------------------------------------------------------------
    bug("teach: the first counterexample is shown, not the smallest",
        "                    if not calls.seek_smaller():\n                        break",
        "                    break",
        "test_teach_judging::test_the_counterexample_is_the_smallest"),
    bug("teach: after a failure larger cases still call the answer",
        "if self._limit is not None and not self.smaller():",
        "if False:",
        "test_teach_judging::test_larger_cases_are_not_tried_once_one_has_failed"),
    bug("teach: an answer can change what it is compared with",
        "given = [copied(argument) for argument in arguments]",
        "given = list(arguments)",
        "test_teach_judging::test_an_answer_cannot_change_what_it_is_compared_with"),
    bug("teach: a student edition gives the last hint, often the code",
        "hints = hints[:-1] or hints",
        "pass",
        "test_teach::test_a_student_edition_leaves_out_the_last_hint"),
    bug("teach: a value of another form is answered with Python's own error",
        "if not callable(answer) and not line and kind in WRONG_FORM:",
        "if False:",
        "test_teach_judging::test_a_value_of_another_form_is_answered_in_a_sentence"),
    bug("teach: the smallest network hides parameters in its scale",
        "    yield names, True, fits\n    if not fits:",
        "    yield names, True, True\n    if False:",
        "test_notebooks::test_the_smallest_network_has_no_uncounted_parameters"),
    bug("teach: an answer may call the course's solution",
        "_now_checked.add(name)",
        "pass",
        "test_teach::test_an_answer_that_calls_the_solution_is_wrong"),
    bug("teach: a text of digits is a number",
        'if given.dtype.kind not in "biufc":',
        'if given.dtype.kind not in "biufcU":',
        "test_teach::test_what_a_check_says_and_returns"),
    bug("teach: an answer can move a file out of the folder of its process",
        "for path in arguments if isinstance(path, path_types)",
        "for path in arguments[:1]",
        "test_teach_sandbox::test_nothing_is_written_outside_the_folder_of_the_process"),
    bug("teach: the process of an answer gets functions of the check by value",
        "if _is_callable_of_ours(value) or",
        "if",
        "test_teach_sandbox::test_functions_of_the_check_are_called_here"),
    bug("teach: the process of an answer gets the generator of the cases",
        "return np.random.default_rng, (int(self._seeds.integers(2**63)),)",
        "return NotImplemented",
        "test_teach_sandbox::test_the_cases_to_come_cannot_be_computed"),
    bug("teach: arrays of text come from the process of an answer",
        "        if dtype.kind not in NUMBERS:\n            raise ValueError",
        "        if False:\n            raise ValueError",
        "test_teach_sandbox::test_other_forms_are_rejected"),
    bug("teach: an answer that never returns is waited for",
        "line = self._replies.get(timeout=max(0.0, self._end - time.monotonic()))",
        "line = self._replies.get(timeout=60.0)",
        "test_teach_sandbox::test_an_answer_that_never_returns_is_ended"),
    bug("teach: an answer can read the solutions",
        "if place.startswith(prefixes) or (mode is None and isdir(place)):",
        "if mode is None and isdir(place):",
        "test_teach_sandbox::test_the_solutions_cannot_be_read"),
    bug("teach: methods that change a value are not part of an answer",
        "piece.bound |= piece.called - modules",
        "pass",
        "test_teach_sandbox::test_what_an_answer_needs"),
    bug("teach: a copy of the course overwrites a student's work",
        'with (folder / name).open("x", encoding="utf-8", newline="\\n") as file:',
        'with (folder / name).open("w", encoding="utf-8", newline="\\n") as file:',
        "test_teach_editions::test_a_copy_is_the_course_and_keeps_what_a_student_wrote"),
    bug("teach: the student's edition has the solutions",
        'left_out = {"solution": not solved, "compare": not compared}',
        'left_out = {"compare": not compared}',
        "test_teach_editions::test_the_students_edition_has_no_solutions"),
    bug("teach: readers see the cells that compare the text with the run",
        'left_out = {"solution": not solved, "compare": not compared}',
        'left_out = {"solution": not solved}',
        "test_notebooks::test_readers_do_not_see_how_the_text_is_compared"),
    bug("teach: an edited notebook counts as built",
        "return built == _digest(content)",
        "return bool(built)",
        "test_teach_editions::test_a_notebook_that_was_edited_is_noticed"),
    # --- the weight of depth 1 --------------------------------------------------------------------
    bug("one layer: of several e the last gradient replaces the others",
        "grads[1][column_places[..., own]] += share",
        "grads[1][column_places[..., own]] = share",
        "test_one_layer::test_it_is_the_tensor_with_its_entries_in_order"),
    bug("one layer: the half decides nothing about its own places",
        "columns = columns + along[..., 0] if part.left == left else columns[None]",
        "columns = columns[None] + 0 * along[..., 0] if part.left == left else columns[None]",
        "test_one_layer::test_layers_of_the_networks"),
    bug("tables: a run near chance counts as a good one",
        "return (len(self.done) - self.near_chance) / self.planned",
        "return len(self.done) / self.planned",
        "test_sweep_table::test_runs_that_end_near_chance_are_counted_and_their_rate_is_not_chosen"),
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
    bug("the estimated standard deviation of a large ADTN contains the mean",
        " - mean * signs.sum(axis=0, dtype=np.float64)",
        "",
        "test_larger_than_memory::test_the_estimate_is_as_good_for_any_mean"),
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
