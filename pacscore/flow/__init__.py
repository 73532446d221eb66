"""What follows receipt: a durable queue of work, rules that fill it, and the quiet time that ends a study."""
