"""What is judged here without a clock or a socket: bars, newest quotes, feeds, gaps, pages."""
