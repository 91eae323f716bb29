"""A whole training job in virtual time: `job` is all of its ranks in one process, `costs` what computing costs them."""
