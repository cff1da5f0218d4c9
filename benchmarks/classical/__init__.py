"""Classical causal estimators of phase, for comparison: one module each, vectorised over trials.

Each offers ``estimate(inputs [samples, trials], rate_hz)``, which returns the analytic estimate ``A exp(i phase)``
[samples, trials], complex, whose imaginary part is the cleaned in-phase and whose real part is the quadrature.
Estimate n depends on inputs 0 to n alone, but for meegkit's ResOscillator, which is given whole records (`oscillator`).

Their gains were tuned for the mean error over the 19 scenarios on trials from seed 10,000 on, one setting for all.
They are told what the scenarios share: an amplitude near 1 and 10 Hz as the nominal frequency.
"""
