"""Long work: asked for from a page, done in the background, its progress seen meanwhile.

A work is a row of the département's own tables.  It goes through three steps:

    ask     a transaction writes the row, under the id that the client's form gave: sent twice, it
            is one work.  What it works on (a file) is in the row, bounded, until it is finished
    do      a worker takes the row under a lease, and does it piece by piece.  A piece is one
            transaction: what it changes, what it reports, and how much is done, together
    finish  with the last piece, or when it cannot go on: the outcome is written, the input goes

A worker that dies lets its lease run out, and another goes on after the last piece that was
committed.  A piece begins by locking the row and checking that the lease is still its own, so
that two workers never do one piece twice, whatever their clocks say.  A work that is taken three
times without a piece being committed is given up, and says so.

What each kind of work does is a `Steps` in its own module, named in `kinds`.
"""
