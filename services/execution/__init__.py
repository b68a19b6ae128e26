"""Order truth: risk checks, durable event-sourced orders, and the way to the venue and back."""
