"""Any model at all: fed with arrays or images, and judged by nothing but what it computes."""
