1..0 # SKIP extension vector is not installed
