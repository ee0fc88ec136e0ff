ALTER TABLE accreditation DROP CONSTRAINT fk_accreditation_previous;

ALTER TABLE accreditation ADD CONSTRAINT fk_accreditation_previous FOREIGN KEY(site, programme, previous, previous_until) REFERENCES accreditation (site, programme, number, valid_until) ON UPDATE CASCADE;
