"""What turns the notebooks into figures and pages: the runner, its cache, one style for all figures."""
