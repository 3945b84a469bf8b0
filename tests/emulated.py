"""Run the installed package on older processors, emulated by qemu-user.

    python tests/emulated.py

On each: the import, which instruction set was chosen, and some calls, whose bits are those of this
machine. Debian, Ubuntu: apt install qemu-user.
"""

import hashlib
import os
import subprocess
import sys

EMULATOR = "qemu-x86_64"
# A processor, and the best that it has.
PROCESSORS = {
    "Nehalem": "scalar",  # 2008: no AVX. The oldest that NumPy's own wheels run on
    "SandyBridge": "scalar",  # 2011: AVX, no FMA
    "Haswell-noTSX": "avx2",  # 2013
}


def calls() -> str:
    """What was chosen here, and a digest of what some calls give."""
    import numpy as np

    import normfast as nf

    rng = np.random.default_rng(0)
    digest = hashlib.sha256()
    for dtype in (np.float32, np.float64, np.float16):
        x = rng.standard_normal((3, 16, 7, 9)).astype(dtype)
        weight, bias = rng.standard_normal((2, 16)).astype(np.float32)
        mean, var = np.zeros(16), np.ones(16)
        results = [
            nf.layer_norm(x, (7, 9), activation="gelu"),
            nf.rms_norm(x[:, ::2], axis=1),
            nf.batch_norm(x, mean, var, weight, bias, training=True, activation="silu"),
            nf.group_norm(x, 4, weight, bias),
            nf.group_norm(x.transpose(0, 2, 3, 1), 4, weight, bias, channel_axis=-1),
            nf.normalize(x),
            nf.standardize(x.reshape(48, 63)),
            *nf.mean_var(x, (0, 2, 3)),
            mean,
            var,
        ]
        for array in results:
            digest.update(np.ascontiguousarray(array).tobytes())
    image = rng.integers(0, 256, (37, 41, 3), dtype=np.uint8)
    digest.update(nf.normalize_image(image, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]).tobytes())
    return f"{nf._core.info()['isa']} {digest.hexdigest()}"


def result(*emulator: str) -> tuple[str, str]:
    """Instruction set and digest of a process of its own."""
    command = [*emulator, sys.executable, __file__, "calls"]
    environment = {k: v for k, v in os.environ.items() if k != "NORMFAST_ISA"}
    # One thread: NumPy's BLAS would start one for each core, slowly.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    isa, digest = done.stdout.split()
    return isa, digest


def main() -> int:
    """Compare every processor with this one."""
    _, here = result()
    failed = False
    for processor, expected in PROCESSORS.items():
        isa, digest = result(EMULATOR, "-cpu", processor)
        right = isa == expected and digest == here
        failed |= not right
        print(f"{processor}: {isa}, {'the same bits' if right else f'expected {expected} {here}'}")
    return failed


if __name__ == "__main__":
    if sys.argv[1:] == ["calls"]:
        print(calls())
    else:
        sys.exit(main())
