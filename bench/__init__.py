"""What lbproxy costs, and whether it survives; see README.rst beside this file."""
