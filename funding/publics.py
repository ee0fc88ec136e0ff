"""The publics that a tranche may be for: a code in the rules, a label where people choose.

A département may name others: the words are its own, and are shown as it wrote them.
"""

# Those of the calls of 2019, of the beginnings in the Creuse, and of data·inclusion.
KNOWN = (
    "aah",
    "actifs",
    "beneficiaires-des-minimas-sociaux",
    "demandeurs-emploi",
    "etudiants",
    "familles",
    "family_quotient",
    "femmes",
    "home_help",
    "jeunes",
    "jobseeker",
    "personnes-en-situation-de-handicap",
    "personnes-en-situation-durgence",
    "personnes-en-situation-juridique-specifique",
    "personnes-exilees",
    "pic",
    "residents-qpv-frr",
    "rsa",
    "senior",
    "seniors",
    "tous-publics",
    "young",
)
