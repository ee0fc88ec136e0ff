"""E-mail: an outbox in the département's own tables, and what carries it to an SMTP server.

An e-mail is a row, written in the transaction of the act that causes it: it exists only if the
act was committed.  Sending one is three steps, each on its own:

    claim     a transaction takes one row that is due and counts the attempt
    deliver   the SMTP conversation, outside any transaction; the Message-ID is made from the
              row's id, so that a server or a reader recognises the same e-mail
    conclude  a transaction writes what it came to

What is certain not to have been accepted (no connection, a refusal before or at the end of the
content) is either put off, twice as long each time, or stopped for good.  What may have been
accepted (the content was on its way, and no answer came back; or the process died after its
claim) is never sent again by itself: the row stays claimed, and is listed for a person, who
decides with `passnum mail retry` or `passnum mail drop`.  So an e-mail is never sent twice
without somebody having asked for it; it may, rarely, wait for somebody to look.

A secret that an e-mail carries (the code of an invitation) is sealed in its row under the master
key, and taken out of it once the e-mail has left, or cannot leave any more.
"""
