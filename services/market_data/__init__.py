"""The market as the fleet sees it: venue streams become blocks, bars, newest quotes and answers about them."""
