"""From vectors to scores, rankings and figures."""
