"""From prices to expected returns and covariances: what the optimiser is fed with."""
