"""Where results go besides JSON Lines and video: MCAP files and an MQTT broker."""
