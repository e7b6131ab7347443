"""The views: pure, tracked queries from the registry's tables to the intermediate form.

Every query takes the smallest arguments that decide its value, never a proxy: proxies that see the same share it.
"""
