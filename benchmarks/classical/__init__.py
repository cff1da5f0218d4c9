"""Classical causal estimators of phase, for comparison: one module each, vectorised over trials.

Each offers ``estimate(inputs [samples, trials], rate_hz)``, which returns the analytic estimate ``A exp(i phase)``
[samples, trials], complex, whose imaginary part is the cleaned in-phase and whose real part is the quadrature.
Estimate n depends on inputs 0 to n alone.

Gains were tuned on trials from seed 10,000 on, one setting for all 19 scenarios, by random search for the least
geometric mean of (phase error + 0.3 deg), so that no few scenarios decide. So these estimators know what the
scenarios share: amplitudes near 1, frequencies around 10 Hz, and how much noise and change there is.
"""
