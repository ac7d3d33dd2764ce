"""Networks and weights to other programs, and from them.

Read in this order:

- ``to_torch``: a model as a torch module that holds its gates; ``from_torch``: values from torch.
- ``torch_adtn``: the contraction in torch, gate by gate; ``torch_weights``: the other encodings;
  ``torch_layers``: the layers. All are modules of torch (``torch_part``).
- ``torchvision``: its AlexNet and VGG-16, as their weights come.
- ``safetensors_file``: write and read safetensors files.
- ``onnx_file``: write the decoded network for ONNX; ``onnx_nodes``: the operators of each layer.

``optional`` imports torch, safetensors and onnx, where they are used and nowhere else.
"""
