[policy]
