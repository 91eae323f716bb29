"""The verb env: everything that results depend on."""

import json


def test_env_says_what_results_depend_on(answer):
    code, out, err = answer("env", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert {"python", "cpu", "cores", "commit", "versions"} <= set(found)
    code, out, err = answer("env")
    assert (code, err) == (0, "")
    assert all(name in out for name in found)
