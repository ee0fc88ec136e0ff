"""What runs: settings, places, web by audience, command line, jobs. The only importer of web and job libraries."""
