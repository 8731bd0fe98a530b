"""What numba reads to compile for any x86-64-v3 CPU, whichever CPU this one is."""

V3 = {
    "NUMBA_CPU_NAME": "x86-64-v3",
    "NUMBA_CPU_FEATURES": "+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe",
}
