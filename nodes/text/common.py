"""The common English words that tell nothing about what is asked."""

COMMON = frozenset(
    """
    a about after all also an and any are as at be because been before between both but by can could did do does during
    each for from had has have he her his how i if in into is it its many may more most much no not of on one only or
    other our over s same she should so some such t than that the their them then there these they this those through to
    two under up was we were what when where which while who whom whose why will with would you your
    """.split()
)
